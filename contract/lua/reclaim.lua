-- reclaim: free what dead workers and gateways leave behind.
--
-- A worker is dead when its heartbeat has lapsed, never because its job is silent: a long answer is not
-- a dead worker. A job that was not sent to Poe runs again elsewhere, under a new epoch. `runs_again`
-- decides on a call that has no answer yet. A job that Poe has answered ends in an error: it is paid
-- for, and the answer may be incomplete.
--
-- Jobs outside their streams that found no token before their deadline end here too: `dispatch` looks at
-- them only when a token is free.
--
-- Where no worker is left, a gateway calls it, which does not know how many deaths a job may have:
-- that is noted whenever a worker calls it.
--
-- ARGV: now, most deaths of one job ('' = as noted), life ms, events of an interrupted job, events of a deadly one,
--       events of a job that waited too long
-- Returns the workers found dead.
local now, most_deaths = clock(ARGV[1]), tonumber(ARGV[2])
if most_deaths then
  redis.call('HSET', keys.totals, 'most_deaths', most_deaths)
else
  most_deaths = tonumber(redis.call('HGET', keys.totals, 'most_deaths')) or 1
end

-- A process that was killed has lost its connections, calls to Poe included, so they are in flight
-- no longer. One that is merely frozen still has them all, as its subscription shows.
local function free_its_calls(worker, id)
  local account, grant = unpack(redis.call('HMGET', keys.job(id), 'account', 'grant'))
  if grant and redis.call('PUBSUB', 'NUMSUB', keys.control(worker))[2] == 0 then
    redis.call('ZREM', keys.grants(account), grant)
  end
end

local dead = redis.call('ZRANGEBYSCORE', keys.workers, '-inf', now)
for _, worker in ipairs(dead) do
  for _, id in ipairs(redis.call('SMEMBERS', keys.owned(worker))) do
    local key = keys.job(id)
    local client, begun, cancelled, state =
      unpack(redis.call('HMGET', key, 'client', 'begun', 'cancelled', 'state'))
    if state == 'running' then
      free_its_calls(worker, id)
      if cancelled then
        end_cancelled(id, ARGV[4], ARGV[3])
      elseif begun then
        fail(id, ARGV[4], ARGV[3])
      elseif redis.call('HINCRBY', key, 'deaths', 1) >= most_deaths then
        redis.call('LPUSH', keys.dead, id .. ' ' .. now)
        redis.call('LTRIM', keys.dead, 0, 99)
        fail(id, ARGV[5], ARGV[3])
      elseif not runs_again(id) then
        fail(id, ARGV[4], ARGV[3])
      else
        redis.call('HSET', key, 'by', worker, 'since', now, 'call', '')
        put_back(id, client, now, 0)
      end
    end
  end
  redis.call('DEL', keys.owned(worker))
  redis.call('ZREM', keys.workers, worker)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', keys.again, '-inf', now, 'LIMIT', 0, 50)) do
  local deadline = redis.call('HGET', keys.job(id), 'deadline')
  if deadline and is_overdue(id, deadline, now) then fail(id, ARGV[6], ARGV[3], true) end
end
-- A gateway that has died takes its clients with it; some may come back through another.
for _, gateway in ipairs(redis.call('ZRANGEBYSCORE', keys.gateways, '-inf', now)) do
  for _, id in ipairs(redis.call('SMEMBERS', keys.served(gateway))) do
    if not abandon(id, gateway, now) then cancel(id, ARGV[3]) end
  end
  redis.call('DEL', keys.served(gateway))
  redis.call('ZREM', keys.gateways, gateway)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', keys.abandoned, '-inf', now, 'LIMIT', 0, 100)) do
  redis.call('ZREM', keys.abandoned, id)
  cancel(id, ARGV[3])
end
return dead
