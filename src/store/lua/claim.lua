-- Decides which replica may call Qiniu for a session.
-- The session is a hash: s the state (w in progress, a answered, u outcome unknown, f free again),
-- p the fingerprint of the upload, o the replica, n the number of its lease, b the sealed response.
-- KEYS: the session, the heartbeat of the replica that was seen to own it, the store's epoch.
-- ARGV: 1 fingerprint, 2 this replica, 3 its lease, 4 milliseconds to remember, 5 the replica seen,
-- 6 '1': a replica without a heartbeat is dead, 7 '1': some replica is known to have claimed the
-- session, 8 milliseconds after the epoch in which replicas publish what the store lost,
-- 9 milliseconds for which a replica counts as alive.
local kept = redis.call('HMGET', KEYS[1], 's', 'p', 'o', 'b')
local state, fingerprint, owner = kept[1], kept[2], kept[3]
-- How long the store has been remembering.
local function age()
  local time, epoch = redis.call('TIME'), tonumber(redis.call('GET', KEYS[3]) or '')
  if not epoch then return 0 end
  local age = time[1] * 1000 + time[2] / 1000 - epoch
  -- An epoch in the future: the clock was set back since.
  return age < 0 and math.huge or age
end
if not state then
  if ARGV[7] == '1' then
    -- The store lost it. Its owner, if alive, publishes it again before its heartbeat expires.
    local silent = ARGV[6] == '1' and redis.call('EXISTS', KEYS[2]) == 0
    if silent and age() >= tonumber(ARGV[9]) then return { 'unknown' } end
    return { 'wait', ARGV[5] }
  end
  if age() < tonumber(ARGV[8]) then return { 'settling' } end
elseif state == 'a' then
  if fingerprint == ARGV[1] then return { 'answered', kept[4] or '' } end
  return { 'used' }
elseif state == 'u' then
  return { 'unknown' }
elseif state == 'w' and owner ~= ARGV[2] then
  if owner == ARGV[5] and ARGV[6] == '1' and redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('HSET', KEYS[1], 's', 'u')
    return { 'unknown' }
  end
  if fingerprint == ARGV[1] then return { 'wait', owner } end
  return { 'in_use', owner }
end
-- Free, or this replica's own claim whose reply got lost: its ledger lets one upload at a time ask.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 's', 'w', 'p', ARGV[1], 'o', ARGV[2], 'n', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return { 'acquired' }
