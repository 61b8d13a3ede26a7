-- Counts one request of a caller by GCRA, with the store's own clock.
-- KEYS: the caller's count: when the whole burst is back, in microseconds.
-- ARGV: microseconds for each request, the burst.
-- Returns { 1, how many more requests would pass } or { 0, microseconds to wait }.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local full = interval * tonumber(ARGV[2])
local kept = tonumber(redis.call('GET', KEYS[1]) or '') or now
-- If the clock was set back, or the limit made tighter, nobody waits longer than for a whole burst.
local back = math.min(kept, now + full)
local wait = math.max(back - (full - interval) - now, 0)
if wait == 0 then back = math.max(back, now) + interval end
if back ~= kept then
  local expires = string.format('%.0f', math.ceil((back - now) / 1000))
  redis.call('SET', KEYS[1], string.format('%.0f', back), 'PX', expires)
end
if wait > 0 then return { 0, wait } end
return { 1, math.floor((now + full - back) / interval) }
