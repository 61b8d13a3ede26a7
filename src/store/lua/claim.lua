-- Decides which replica may call Qiniu for a session.
-- The session is a hash: s the state (w in progress, a answered, u outcome unknown, f free again),
-- p the fingerprint of the upload, o the replica, n the number of its lease, b the sealed response.
-- KEYS: the session, and unless they can't be read together, the heartbeat of the replica that was
-- seen to own it, and the store's epoch.
-- ARGV: 1 fingerprint, 2 this replica, 3 its lease, 4 milliseconds to remember, 5 the replica seen,
-- 6 '1': a replica without a heartbeat is dead, 7 '1': some replica is known to have claimed the
-- session, 8 milliseconds after the epoch in which replicas publish what the store lost,
-- 9 milliseconds for which a replica counts as alive; if only the session is given, 10 '1': the
-- replica seen has a heartbeat, and 11 the age of the store.
local kept = redis.call('HMGET', KEYS[1], 's', 'p', 'o', 'n', 'b')
local state, fingerprint, owner = kept[1], kept[2], kept[3]
local function is_silent()
  if ARGV[6] ~= '1' then return false end
  if KEYS[2] then return redis.call('EXISTS', KEYS[2]) == 0 end
  return ARGV[10] ~= '1'
end
local function remembers_for(time)
  return (KEYS[3] and age(KEYS[3]) or tonumber(ARGV[11])) >= tonumber(time)
end
if not state and ARGV[7] == '1' then
  -- The store lost it. Its owner, if alive, publishes it again before its heartbeat expires.
  if is_silent() and remembers_for(ARGV[9]) then return { 'unknown' } end
  return { 'wait', ARGV[5] }
elseif state == 'a' then
  if fingerprint == ARGV[1] then return { 'answered', kept[5] or '' } end
  return { 'used' }
elseif state == 'u' then
  return { 'unknown' }
elseif state == 'w' and owner ~= ARGV[2] then
  if owner == ARGV[5] and is_silent() then
    redis.call('HSET', KEYS[1], 's', 'u')
    return { 'unknown' }
  end
  if fingerprint == ARGV[1] then return { 'wait', owner } end
  return { 'in_use', owner }
end
-- Not known, free, or this replica's own: its ledger lets one upload at a time ask. A store that
-- may have lost data may lack another replica's claim, also one that followed what it has. A claim
-- that is repeated, because its reply got lost, has had no successor.
local repeated = state == 'w' and kept[4] == ARGV[3]
if not repeated and not remembers_for(ARGV[8]) then return { 'settling' } end
-- Never deleted and made anew: while its slot moves to another node, a key must not be missing.
redis.call('HSET', KEYS[1], 's', 'w', 'p', ARGV[1], 'o', ARGV[2], 'n', ARGV[3], 'b', '')
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return { 'acquired' }
