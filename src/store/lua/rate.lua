-- One request of a caller, counted by GCRA as it is in limit/rate.rs, with the store's own clock.
-- KEYS: the caller's count: when all of the burst is back, in microseconds. ARGV: microseconds a request, the burst.
-- Answers: whether it passes, how many more would, microseconds to wait.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local full = interval * tonumber(ARGV[2])
local back = tonumber(redis.call('GET', KEYS[1]) or '') or now
-- The clock was set back, or the limit made tighter: nobody waits longer than for a whole burst.
if back > now + full then back = now + full end
local earliest = back - (full - interval)
if now < earliest then return { 0, 0, earliest - now } end
back = math.max(back, now) + interval
redis.call('SET', KEYS[1], string.format('%.0f', back), 'PX', string.format('%.0f', math.ceil((back - now) / 1000)))
return { 1, math.floor((now + full - back) / interval), 0 }
