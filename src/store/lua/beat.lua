-- A replica lives. KEYS: its name. ARGV: for how many milliseconds that is believed.
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
return 1
