-- The calls of one caller in one window of a quota. Each replica publishes the number of its own
-- calls, all of them each time: an update that is lost, repeated or late does no harm, and a store
-- that lost its data learns the count again.
-- KEYS: the caller's count, a hash: n all calls, t when the last one was made, and for each replica
-- the number of its last update and its calls.
-- ARGV: 1 this replica, 2 the number of this update, 3 its calls, or '' if it only reads,
-- 4 the maximum number of calls, or '' if it asks for no room, 5 seconds since 1970 by the
-- replica's clock, 6 milliseconds to remember.
-- Returns whether all of its calls fit, all calls, its own among them, and when the last was made.
local kept = redis.call('HMGET', KEYS[1], 'n', 't', ARGV[1])
local all, last = tonumber(kept[1] or '') or 0, tonumber(kept[2] or '') or 0
local number, own = string.match(kept[3] or '', '^(%d+) (%d+)$')
number, own = tonumber(number or '') or 0, tonumber(own or '') or 0
local calls, max = tonumber(ARGV[3]), tonumber(ARGV[4])
if not calls then return { 1, all, own, last } end
-- Updates of one replica may overtake each other: each is judged by the others' calls and its own.
local after = all - own + calls
if max and after > max then return { 0, all, own, last } end
if max then
  last = math.max(last, tonumber(ARGV[5]))
  redis.call('HSET', KEYS[1], 't', last)
end
if tonumber(ARGV[2]) > number and (calls > 0 or kept[3]) then
  all, own = after, calls
  redis.call('HSET', KEYS[1], 'n', all, ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
return { 1, all, own, last }
