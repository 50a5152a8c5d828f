-- gateway_heartbeat: a gateway is alive. It also sweeps payloads that nothing else would delete, kept
-- answers that are due, and records of the ledger that are too old. Those have ids by Redis's own clock.
--
-- ARGV: now, gateway, ms for which it counts as alive, ms for which records are kept
-- Returns 1.
local now = clock(ARGV[1])
redis.call('ZADD', keys.gateways, now + tonumber(ARGV[3]), ARGV[2])
for _, first in ipairs(redis.call('ZRANGEBYSCORE', keys.payloads, '-inf', now, 'LIMIT', 0, 50)) do
  forget_payload(first)
end
for _, digest in ipairs(redis.call('ZRANGEBYSCORE', keys.blobs, '-inf', now, 'LIMIT', 0, 50)) do
  forget_blob(digest)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', keys.keeps, '-inf', now, 'LIMIT', 0, 50)) do
  discard(id, 'expired')
end
redis.call('XTRIM', keys.ledger, 'MINID', '~', string.format('%.0f', math.max(redis.call('TIME')[1] * 1000 - ARGV[4], 0)))
return 1
