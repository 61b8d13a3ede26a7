-- Publishes what became of a session.
-- KEYS: the session.
-- ARGV: 1 fingerprint, 2 this replica, 3 its lease, 4 milliseconds to remember, 5 the state (as in
-- claim.lua, or r: the upload that claimed it has left), 6 the sealed response.
-- Returns 1 if it was stored, 0 if the store knows better.
local kept = redis.call('HMGET', KEYS[1], 's', 'p', 'o', 'n')
local state, new = kept[1], ARGV[5]
-- A replica begins a lease only when the one before has ended, so an update of a later lease also
-- ends an earlier lease whose end was never published.
local mine = kept[3] == ARGV[2] and (tonumber(kept[4] or '') or 0) <= tonumber(ARGV[3])
local pending = mine and (state == 'w' or state == 'u')
local write
if new == 'a' then
  write = not state or state == 'f' or pending or (state ~= 'a' and kept[2] == ARGV[1])
elseif new == 'u' then
  write = not state or state == 'f' or pending
elseif new == 'w' then
  write = not state or state == 'f'
elseif new == 'f' then
  write = not state or pending
else
  write = pending
  new = 'f'
end
if not write then return 0 end
-- Never deleted and made anew: while its slot moves to another node, a key must not be missing.
redis.call('HSET', KEYS[1], 's', new, 'p', ARGV[1], 'o', ARGV[2], 'n', ARGV[3], 'b', ARGV[6])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
