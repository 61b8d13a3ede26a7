-- One caller's calls in one window of a quota. Each replica says how many are its own, all of them each time: so it does no harm when a
-- word gets lost, is heard twice or late, and a store that forgot everything learns it again.
-- KEYS: the caller's count: n calls in all, t when the last one was made, and for each replica the number of its last word and its calls.
-- ARGV: 1 this replica, 2 the number of this word, 3 its calls or '' if it has none to tell, 4 how many there may be in all, or '' if
-- it asks for none, 5 seconds since 1970 by its clock, 6 milliseconds to remember.
-- Answers: whether all of its calls fit, the calls in all, its own among them, when the last one was made.
local kept = redis.call('HMGET', KEYS[1], 'n', 't', ARGV[1])
local all, last = tonumber(kept[1] or '') or 0, tonumber(kept[2] or '') or 0
local word, own = string.match(kept[3] or '', '^(%d+) (%d+)$')
word, own = tonumber(word or '') or 0, tonumber(own or '') or 0
local calls, most = tonumber(ARGV[3]), tonumber(ARGV[4])
if not calls then return { 1, all, own, last } end
-- Words of one replica may overtake each other: each is held against the others' calls and those that it speaks of.
local after = all - own + calls
if most and after > most then return { 0, all, own, last } end
if most then
  last = math.max(last, tonumber(ARGV[5]))
  redis.call('HSET', KEYS[1], 't', last)
end
if tonumber(ARGV[2]) > word and (calls > 0 or kept[3]) then
  all, own = after, calls
  redis.call('HSET', KEYS[1], 'n', all, ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
return { 1, all, own, last }
