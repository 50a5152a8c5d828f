-- set_group: set some of a group's budgets, and leave the others as they are.
--
-- ARGV: now, name, then pairs: field, value ('' = delete it)
-- Returns 1.
clock(ARGV[1])
redis.call('SADD', keys.groups, ARGV[2])
for i = 3, #ARGV, 2 do
  if ARGV[i + 1] == '' then
    redis.call('HDEL', keys.group(ARGV[2]), ARGV[i])
  else
    redis.call('HSET', keys.group(ARGV[2]), ARGV[i], ARGV[i + 1])
  end
end
return 1
