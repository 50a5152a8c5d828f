-- attend: a gateway's heartbeat.
--
-- ARGV: now, gateway, ms for which it counts as alive
-- Returns 1.
redis.call('ZADD', 'p2g:gateways', clock(ARGV[1]) + tonumber(ARGV[3]), ARGV[2])
return 1
