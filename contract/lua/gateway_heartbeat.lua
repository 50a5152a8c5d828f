-- gateway_heartbeat: a gateway is alive. It also sweeps payloads that nothing else would delete, and kept
-- answers that are due.
--
-- ARGV: now, gateway, ms for which it counts as alive
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
return 1
