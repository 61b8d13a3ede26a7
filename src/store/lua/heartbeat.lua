-- The second half of a heartbeat: the store's epoch, since when this primary has been remembering.
-- It begins anew in a store that lost its data, and at a primary of another id, which may lack what
-- was last acknowledged.
-- KEYS: the epoch. ARGV: milliseconds for which the epoch is remembered.
-- Returns the epoch in milliseconds: another value than before means that data may be lost.
local id, refusal = primary()
if not id then return refusal end
local since, noted = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%x+)$')
if noted ~= id then
  local time = redis.call('TIME')
  since = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
end
redis.call('SET', KEYS[1], since .. ' ' .. id, 'PX', ARGV[1])
return tonumber(since)
