-- The key by which things are named here, sealed for each secret that a replica may know.
-- KEYS: one place for each secret. ARGV: milliseconds to remember, then for each place what was seen there and what is to be written
-- instead, or ''. Answers what is in each place, '' where nothing is.
local found = {}
for place, key in ipairs(KEYS) do
  local kept, write = redis.call('GET', key) or '', ARGV[place * 2 + 1]
  if write ~= '' and kept == ARGV[place * 2] then
    redis.call('SET', key, write, 'PX', ARGV[1])
    kept = write
  else
    redis.call('PEXPIRE', key, ARGV[1])
  end
  found[place] = kept
end
return found
