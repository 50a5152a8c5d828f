-- requeue: return a job without output to its client's line, at its old place.
--
-- The epoch rises at once, so nothing that the worker still has under way can reach the log. The entry
-- stays pending.
--
-- A job with output comes here only when Redis has lost its end, as it may when a replica takes over.
-- It is ended: run again, it would give its client two answers.
--
-- A worker may be given a job whose dispatch it never heard of. It cannot say how far the job came, so
-- what was noted decides, and stays as it is.
--
-- ARGV: now, worker, job, epoch, delay ms, what was tried (comma separated; '-': as noted), life ms, worker
--       that should leave it to others for a while (or ''), attempts that the upstream has failed,
--       events of an interrupted job
-- Returns 1, or 0 where the job is no longer this worker's.
local FREE_RETURNS = 8
local now, worker, id = clock(ARGV[1]), ARGV[2], ARGV[3]
local epoch, state, client, cancelled, begun =
  unpack(redis.call('HMGET', keys.job(id), 'epoch', 'state', 'client', 'cancelled', 'begun'))
if epoch ~= ARGV[4] or state ~= 'running' then return 0 end
if cancelled then
  end_cancelled(id, ARGV[10], ARGV[7])
  return 0
end
local as_noted = ARGV[6] == '-'
if begun or (as_noted and not runs_again(id)) then
  fail(id, ARGV[10], ARGV[7])
  return 0
end
redis.call('SREM', keys.owned(worker), id)
-- Each of several workers may have left it to the others, and it is for the one that has not.
local by = ARGV[8]
if by ~= '' then
  local others = redis.call('HGET', keys.job(id), 'by') or ''
  if others ~= '' and not is_among(by, others) then by = others .. ',' .. by end
end
redis.call('HSET', keys.job(id), 'by', by, 'since', now, 'call', '')
if not as_noted then redis.call('HSET', keys.job(id), 'tried', ARGV[6], 'failures', ARGV[9]) end
-- One that comes back again and again would keep workers busy with nothing else.
local times = redis.call('HINCRBY', keys.job(id), 'returns', 1) - FREE_RETURNS
put_back(id, client, now, math.max(tonumber(ARGV[5]), times > 0 and math.min(50 * 2 ^ times, 2000) or 0))
return 1
