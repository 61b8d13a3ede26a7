-- Notes that a replica is alive.
-- KEYS: the replica's heartbeat. ARGV: milliseconds for which the replica counts as alive.
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
return 1
