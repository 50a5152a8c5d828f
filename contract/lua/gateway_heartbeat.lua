-- gateway_heartbeat: a gateway is alive. It also sweeps payloads that nothing else would delete, kept
-- answers that are due, what is reserved of budgets for jobs that are no more, and records of the ledger that
-- are too old. Those have ids by Redis's own clock.
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
for _, reserved in ipairs(redis.call('ZRANGEBYSCORE', keys.reservations, '-inf', now, 'LIMIT', 0, 50)) do
  local id = cmsgpack.unpack(reserved)[1]
  local state, current = unpack(redis.call('HMGET', keys.job(id), 'state', 'reserved'))
  if state and state ~= 'done' and current == reserved then
    redis.call('ZADD', keys.reservations, now + LOOK_EVERY, reserved)
  else
    give_back(reserved, now) -- Redis has forgotten the job, or a version without budgets has ended it
  end
end
redis.call('XTRIM', keys.ledger, 'MINID', '~', string.format('%.0f', math.max(redis.call('TIME')[1] * 1000 - ARGV[4], 0)))
return 1
