-- A replica's heartbeat, and the store's epoch: when it was last without data.
-- KEYS: the replica's heartbeat, the epoch.
-- ARGV: milliseconds for which the replica counts as alive, milliseconds for which the epoch is
-- remembered.
-- Returns the epoch in milliseconds: another value than before means that all data was lost.
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('SET', KEYS[2], now, 'NX', 'PX', ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return tonumber(redis.call('GET', KEYS[2])) or 0
