-- worker_heartbeat: a worker is alive. This is also how batches of tokens find their owner.
--
-- Each live worker is due an even share of the batches that it knows. If the same W workers know B
-- batches, each is due B/W of them, and the first B mod W workers, by name, one more. A heartbeat renews
-- what the worker holds of its share, releases the surplus, and takes batches that nobody holds. So
-- joining, leaving, dying and rebalancing are one step, and no batch is left over where workers have
-- different lists of tokens. Whoever takes a batch gets a new fence, which shuts out the former owner.
--
-- ARGV: now, worker, life ms of a lease, 1 when leaving, report, then every batch
-- Returns a list of {batch, fence} that the worker holds for `life` ms from now.
local now, worker, life, leaving = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3]), ARGV[4] == '1'
local held, free, mine, living, sharers = {}, {}, {}, {}, {}

-- A killed worker has lost its connections, so its subscription is gone before its heartbeat lapses. A
-- frozen worker keeps its connections. A live worker that lost them subscribes again within half a
-- second: so a worker counts as dead only if its heartbeat is overdue as well, and its subscription has
-- been missed for 1.5 s, counted from when Redis itself is back.
local function has_died(other, lapses)
  local missed = keys.missed(other)
  if redis.call('PUBSUB', 'NUMSUB', keys.control(other))[2] > 0 then
    redis.call('DEL', missed)
    return false
  end
  redis.call('SET', missed, now, 'PX', life, 'NX')
  return redis.call('GET', missed) + 1500 <= now and lapses - 0.6 * life <= now
end

-- A worker that drains counts as alive, since its jobs run, but is due no share.
redis.call('ZADD', keys.workers, now + life, worker)
redis.call('DEL', keys.missed(worker))
if leaving then
  redis.call('DEL', keys.worker(worker))
  if redis.call('SCARD', keys.owned(worker)) == 0 then redis.call('ZREM', keys.workers, worker) end
else
  redis.call('SET', keys.worker(worker), ARGV[5], 'PX', life)
  -- Its list of tokens may have changed.
  redis.call('DEL', keys.knows(worker))
  redis.call('SADD', keys.knows(worker), '', unpack(ARGV, 6))
  redis.call('PEXPIRE', keys.knows(worker), life)
  local others = redis.call('ZRANGEBYSCORE', keys.workers, '(' .. now, '+inf', 'WITHSCORES')
  for i = 1, #others, 2 do
    local other = others[i]
    if other ~= worker and has_died(other, others[i + 1]) then
      redis.call('ZADD', keys.workers, now, other)
      redis.call('DEL', keys.worker(other))
    else
      living[other] = true
      if redis.call('EXISTS', keys.worker(other)) == 1 then sharers[#sharers + 1] = other end
    end
  end
end

-- `shares` has, for each set of sharers that know the same batches, how many are still due to us.
table.sort(sharers)
local who, count, rank, shares = {}, {}, {}, {}
for i = 6, #ARGV do who[i], count[i], rank[i] = '', 0, 0 end
for _, other in ipairs(#ARGV > 5 and sharers or {}) do
  -- A worker of the version before does not say what it knows.
  local key = keys.knows(other)
  local knows = redis.call('EXISTS', key) == 1 and redis.call('SMISMEMBER', key, unpack(ARGV, 6))
  for i = 6, #ARGV do
    if not knows or knows[i - 5] == 1 then
      who[i], count[i] = who[i] .. ' ' .. other, count[i] + 1
      if other < worker then rank[i] = rank[i] + 1 end
    end
  end
end
-- The n-th of their batches makes the n-th sharer's share one more, and then the first's again.
for i = 6, #ARGV do
  local n = shares[who[i]] or { size = 0, due = 0 }
  if count[i] > 0 and n.size % count[i] == rank[i] then n.due = n.due + 1 end
  n.size, shares[who[i]] = n.size + 1, n
end

local function is_due(i)
  local n = shares[who[i]]
  n.due = n.due - 1
  return n.due >= 0
end

for i = 6, #ARGV do
  local owner, expires = unpack(redis.call('HMGET', keys.lease(ARGV[i]), 'owner', 'expires'))
  local lapsed = not owner or tonumber(expires) <= now
  if owner == worker and not lapsed then held[#held + 1] = i
  elseif lapsed or not living[owner] then free[#free + 1] = i end
end
for _, i in ipairs(held) do
  local lease, due = keys.lease(ARGV[i]), is_due(i)
  redis.call('HSET', lease, 'expires', due and now + life or 0)
  if due then mine[#mine + 1] = { ARGV[i], tonumber(redis.call('HGET', lease, 'fence')) } end
end
for _, i in ipairs(free) do
  if is_due(i) then
    local lease = keys.lease(ARGV[i])
    redis.call('HSET', lease, 'owner', worker, 'expires', now + life)
    mine[#mine + 1] = { ARGV[i], redis.call('HINCRBY', lease, 'fence', 1) }
  end
end
return mine
