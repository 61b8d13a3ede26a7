-- Identifies the primary that runs the script: every promotion, and every start, gives it another
-- id. What an earlier primary acknowledged last may be lost in this one.
-- Returns the id, or nothing on a replica or if INFO is not permitted; then the reply for it.
local function primary()
  local info = redis.pcall('INFO', 'replication')
  if type(info) ~= 'string' then return nil, redis.error_reply('NOPERM INFO is not permitted') end
  if not string.find(info, 'role:master', 1, true) then
    return nil, redis.error_reply('READONLY it is a replica')
  end
  return string.match(info, 'master_replid:(%x+)') or '0'
end
