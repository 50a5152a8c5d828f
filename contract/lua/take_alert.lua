-- take_alert: the alert that is due first, for its taker to deliver.
--
-- ARGV: now, ms after which it is due again, unless its taker puts it back or removes it
-- Returns {the alert, when it was due, now}, or nothing where none is due.
local now = clock(ARGV[1])
local found = redis.call('ZRANGEBYSCORE', keys.alerts, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)
if #found == 0 then return {} end
redis.call('ZADD', keys.alerts, now + ARGV[2], found[1])
return { found[1], found[2], now }
