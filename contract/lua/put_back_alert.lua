-- put_back_alert: an alert that was taken is due again later, or is delivered or given up.
--
-- ARGV: now, the alert, ms after which it is due again ('' = it is removed)
-- Returns whether it was there.
if ARGV[3] == '' then return redis.call('ZREM', keys.alerts, ARGV[2]) end
redis.call('ZADD', keys.alerts, 'XX', clock(ARGV[1]) + ARGV[3], ARGV[2])
return 1
