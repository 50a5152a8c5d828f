-- read_counters: what is spent and reserved of budgets.
--
-- ARGV: now, then counters
-- Returns of each {spent, reserved, limit under which it was counted last}, 0 where nothing was.
local found = {}
for i = 2, #ARGV do
  local spent, reserved, limit = unpack(redis.call('HMGET', keys.budget(ARGV[i]), 'spent', 'reserved', 'limit'))
  found[#found + 1] = { tonumber(spent) or 0, tonumber(reserved) or 0, tonumber(limit) or 0 }
end
return found
