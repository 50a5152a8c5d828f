-- beat: a worker's heartbeat, which is also how batches of tokens find their owner.
--
-- Every live worker is due an even share of the batches: of B batches and W workers, each B/W, and
-- the first B mod W of them, by name, one more. A beat renews what the worker holds of its share,
-- lets the surplus go, and takes what nobody holds. So joining, leaving, dying and rebalancing are
-- this one step. Whoever takes a batch gets a new fence, which unmasks the owner before it.
--
-- ARGV: now, worker, life ms of a lease, 1 when leaving, report, then every batch
-- Returns a list of {batch, fence} that the worker holds for `life` ms from now.
local now, worker, life, leaving = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local share, held, free, mine, living = 0, {}, {}, {}, {}

-- A worker that was killed lost its connections with its life, so its subscription tells before its
-- heartbeat lapses. A frozen one keeps them all. One that lost them and lives subscribes again in
-- half a second: so a beat must be overdue as well, and the subscription be missed for 1.5 s, which
-- begin when a Redis that was away itself is back.
local function has_died(other, lapses)
  local missed = 'p2g:missed:' .. other
  if redis.call('PUBSUB', 'NUMSUB', 'p2g:control:' .. other)[2] > 0 then
    redis.call('DEL', missed)
    return false
  end
  redis.call('SET', missed, now, 'PX', life, 'NX')
  return redis.call('GET', missed) + 1500 <= now and lapses - 0.6 * life <= now
end

-- A worker that drains stays among the living, for its jobs' sake, but is due no share.
redis.call('ZADD', 'p2g:workers', now + life, worker)
redis.call('DEL', 'p2g:missed:' .. worker)
if leaving then
  redis.call('DEL', 'p2g:worker:' .. worker)
  if redis.call('SCARD', 'p2g:owned:' .. worker) == 0 then redis.call('ZREM', 'p2g:workers', worker) end
else
  redis.call('SET', 'p2g:worker:' .. worker, ARGV[5], 'PX', life)
  local sharers, rank = 0, 0
  local others = redis.call('ZRANGEBYSCORE', 'p2g:workers', '(' .. now, '+inf', 'WITHSCORES')
  for i = 1, #others, 2 do
    local other = others[i]
    if other ~= worker and has_died(other, others[i + 1]) then
      redis.call('ZADD', 'p2g:workers', now, other)
      redis.call('DEL', 'p2g:worker:' .. other)
    else
      living[other] = true
      if redis.call('EXISTS', 'p2g:worker:' .. other) == 1 then
        sharers = sharers + 1
        if other < worker then rank = rank + 1 end
      end
    end
  end
  share = math.floor((#ARGV - 5) / sharers)
  if rank < (#ARGV - 5) % sharers then share = share + 1 end
end

for i = 6, #ARGV do
  local owner, expires = unpack(redis.call('HMGET', 'p2g:lease:' .. ARGV[i], 'owner', 'expires'))
  local lapsed = not owner or tonumber(expires) <= now
  if owner == worker and not lapsed then held[#held + 1] = ARGV[i]
  elseif lapsed or not living[owner] then free[#free + 1] = ARGV[i] end
end
for i, batch in ipairs(held) do
  redis.call('HSET', 'p2g:lease:' .. batch, 'expires', i <= share and now + life or 0)
  if i <= share then mine[i] = { batch, tonumber(redis.call('HGET', 'p2g:lease:' .. batch, 'fence')) } end
end
for _, batch in ipairs(free) do
  if #mine >= share then break end
  redis.call('HSET', 'p2g:lease:' .. batch, 'owner', worker, 'expires', now + life)
  mine[#mine + 1] = { batch, redis.call('HINCRBY', 'p2g:lease:' .. batch, 'fence', 1) }
end
return mine
