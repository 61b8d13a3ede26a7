-- A replica lives, and the store is as old as it is. KEYS: the replica's sign of life, the store's birth.
-- ARGV: for how many milliseconds the sign is believed, for how many the birth is remembered.
-- Answers when the store was born, in milliseconds: another time than before means that it has forgotten all.
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
local time = redis.call('TIME')
redis.call('SET', KEYS[2], string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)), 'NX', 'PX', ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return tonumber(redis.call('GET', KEYS[2])) or 0
