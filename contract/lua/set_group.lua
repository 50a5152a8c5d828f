-- set_group: set some of a group's budgets, and leave the others as they are.
--
-- ARGV: now, name, then pairs: field, value ('' = delete it)
-- Returns 1.
clock(ARGV[1])
redis.call('SADD', keys.groups, ARGV[2])
set_fields(keys.group(ARGV[2]), 3)
return 1
