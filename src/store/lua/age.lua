-- How long this primary has been remembering, in milliseconds: since the epoch, which the first
-- heartbeat at a primary notes with the primary's id. 0 if no heartbeat has noted this primary.
local function age(epoch)
  local since, noted = string.match(redis.call('GET', epoch) or '', '^(%d+) (%x+)$')
  if not since or noted ~= primary() then return 0 end
  local time = redis.call('TIME')
  local age = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(since)
  -- An epoch in the future: the clock was set back since.
  return age < 0 and 9007199254740991 or age
end
