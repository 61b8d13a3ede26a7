-- One request of a caller, counted by GCRA as it is in limit/shared.rs, with the store's own clock.
-- KEYS: the caller's count: when all of the burst is back, in microseconds. ARGV: microseconds a request, the burst, what the replica knows
-- of that count, since the store may have forgotten it.
-- Answers: whether it passes, how many more would, microseconds to wait, microseconds until all is back, and when that is.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local full = interval * tonumber(ARGV[2])
local kept = tonumber(redis.call('GET', KEYS[1]) or '') or now
-- The clock was set back, or the limit made tighter: nobody waits longer than for a whole burst.
local back = math.min(math.max(kept, tonumber(ARGV[3])), now + full)
local wait = math.max(back - (full - interval) - now, 0)
if wait == 0 then back = math.max(back, now) + interval end
if back ~= kept then
  redis.call('SET', KEYS[1], string.format('%.0f', back), 'PX', string.format('%.0f', math.ceil((back - now) / 1000)))
end
if wait > 0 then return { 0, 0, wait, back - now, back } end
return { 1, math.floor((now + full - back) / interval), 0, back - now, back }
