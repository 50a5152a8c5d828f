-- remove_group: a group has no budgets any longer. What was spent of them stays known.
--
-- ARGV: now, name
-- Returns 1, or 0 where there is no such group.
clock(ARGV[1])
redis.call('DEL', keys.group(ARGV[2]))
return redis.call('SREM', keys.groups, ARGV[2])
