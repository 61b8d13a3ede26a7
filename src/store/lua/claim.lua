-- Who may call Qiniu for a session. States: w under way, a answered, u outcome unknown, f free again.
-- KEYS: the session, the sign of life of the replica that was seen to own it, the store's birth.
-- ARGV: 1 fingerprint, 2 this replica, 3 its turn, 4 milliseconds to remember, 5 the owner seen, 6 '1': who gives no sign of life
-- is dead, 7 '1': it is known that the session was claimed by somebody, 8 milliseconds from its birth in which replicas tell the store what
-- it may have forgotten, 9 milliseconds for which a sign of life is believed.
local kept = redis.call('HMGET', KEYS[1], 's', 'p', 'o', 'b')
local state, print, owner = kept[1], kept[2], kept[3]
-- For how long the store has been remembering.
local function age()
  local time, born = redis.call('TIME'), tonumber(redis.call('GET', KEYS[3]) or '')
  if not born then return 0 end
  local age = time[1] * 1000 + time[2] / 1000 - born
  -- Born in the future: the clock was set back since.
  return age < 0 and math.huge or age
end
if not state then
  if ARGV[7] == '1' then
    -- The store lost it. Its owner tells it again, if it lives, for which it needs the time of a sign of life.
    local dead = ARGV[6] == '1' and redis.call('EXISTS', KEYS[2]) == 0 and age() >= tonumber(ARGV[9])
    if dead then return { 'unknown' } end
    return { 'wait', ARGV[5] }
  end
  if age() < tonumber(ARGV[8]) then return { 'settling' } end
elseif state == 'a' then
  if print == ARGV[1] then return { 'answered', kept[4] or '' } end
  return { 'used' }
elseif state == 'u' then
  return { 'unknown' }
elseif state == 'w' and owner ~= ARGV[2] then
  if owner == ARGV[5] and ARGV[6] == '1' and redis.call('EXISTS', KEYS[2]) == 0 then
    redis.call('HSET', KEYS[1], 's', 'u')
    return { 'unknown' }
  end
  if print == ARGV[1] then return { 'wait', owner } end
  return { 'in_use', owner }
end
-- Free, or this replica's own from a claim whose answer got lost: its ledger lets one try at a time come here.
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 's', 'w', 'p', ARGV[1], 'o', ARGV[2], 'n', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return { 'first' }
