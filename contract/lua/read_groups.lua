-- read_groups: the groups that have budgets.
--
-- ARGV: now, then names; none: all groups
-- Returns of each that there is {name, its fields}.
local names, found = {}, {}
for i = 2, #ARGV do
  if redis.call('SISMEMBER', keys.groups, ARGV[i]) == 1 then names[#names + 1] = ARGV[i] end
end
for _, name in ipairs(#ARGV > 1 and names or redis.call('SMEMBERS', keys.groups)) do
  found[#found + 1] = { name, redis.call('HGETALL', keys.group(name)) }
end
return found
