-- dispatch: hand a worker up to n jobs, in fair order.
--
-- Start-time fair queueing. The ring scores each client that waits with the virtual time at which
-- its next job starts. The lowest goes first, becomes the virtual time, and moves that client on by
-- 1/weight: a client that floods only overtakes itself. O(log clients) for each job.
-- Jobs that were handed back have had their turn, so they go before the ring; a worker that handed
-- one back itself leaves it to others for two seconds.
--
-- ARGV: now, worker, n, life ms of a finished job, events of a job that waited too long
-- Returns a list of {payload, epoch, attempt, ms waited, tokens tried, failures of the upstream,
-- 1 if it has an idempotency key, job}.
local now, worker, n = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local taken = {}

local function take(client, entry, id, payload)
  local key, jobs = job_key(id), 'p2g:jobs:' .. client
  local at, deadline, tried, failures, idem =
    unpack(redis.call('HMGET', key, 'at', 'deadline', 'tried', 'failures', 'idem'))
  if not at then -- forgotten: its own life ended in the queue
    redis.call('HINCRBY', 'p2g:client:' .. client, 'open', -1)
    take_over(jobs, entry)
    return redis.call('XDEL', jobs, entry)
  end
  redis.call('HSET', key, 'state', 'taken')
  if tonumber(deadline) <= now then return fail(id, ARGV[5], ARGV[4], true) end
  redis.call('HSET', key, 'state', 'running', 'owner', worker)
  redis.call('HINCRBY', 'p2g:client:' .. client, 'running', 1)
  redis.call('SADD', 'p2g:owned:' .. worker, id)
  local epoch, attempt = redis.call('HINCRBY', key, 'epoch', 1), redis.call('HINCRBY', key, 'attempt', 1)
  taken[#taken + 1] = { payload, epoch, attempt, now - tonumber(at), tried or '', tonumber(failures) or 0,
    idem and 1 or 0, id }
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', 'p2g:again', '-inf', now, 'LIMIT', 0, 50)) do
  if #taken == n then break end
  local client, entry, by, since = unpack(redis.call('HMGET', job_key(id), 'client', 'entry', 'by', 'since'))
  if by ~= worker or tonumber(since) + 2000 <= now then
    redis.call('ZREM', 'p2g:again', id)
    local found = client and take_over('p2g:jobs:' .. client, entry, worker) or {}
    if found[1] then take(client, entry, id, found[1][2][4]) end
  end
end

while #taken < n do
  local client, turn = unpack(redis.call('ZRANGE', 'p2g:ring', 0, 0, 'WITHSCORES'))
  if not client then break end
  local tally, jobs = 'p2g:client:' .. client, 'p2g:jobs:' .. client
  local got = redis.call('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', 1, 'STREAMS', jobs, '>')
  redis.call('ZREM', 'p2g:ring', client)
  if got then
    local entry, fields = unpack(got[1][2][1])
    local next_turn = string.format('%.17g', turn + 1 / tonumber(redis.call('HGET', tally, 'weight')))
    redis.call('HSET', 'p2g:totals', 'virtual', turn)
    redis.call('HINCRBY', 'p2g:totals', 'dispatched', 1)
    redis.call('HSET', tally, 'turn', next_turn)
    leave_stream(client, next_turn)
    take(client, entry, fields[2], fields[4])
  else
    retire(jobs, worker)
  end
end
-- Nothing waits: the rings that are left over would only wake workers in vain.
if #taken < n and redis.call('EXISTS', 'p2g:again') == 0 then redis.call('DEL', 'p2g:bell') end
return taken
