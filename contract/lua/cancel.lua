-- cancel: a reader of a job's answer has left.
--
-- A job ends when nobody reads it any longer. If it may be resumed, it first goes on for its grace,
-- unless it must end now because its client was refused.
--
-- ARGV: now, job, life ms of a finished job, and if it may be resumed: gateway, reader, 1 if it must
--       end now, name of its idempotency key
-- Returns 'dropped', 'told' or 'gone'; or 'kept' where the job goes on.
local now, id, gateway = clock(ARGV[1]), ARGV[2], ARGV[4]
if gateway then
  local reader, state = gateway .. ' ' .. ARGV[5], redis.call('HGET', keys.job(id), 'state')
  if state == 'done' then return 'gone' end
  -- It may be about to join still, in an enqueue that its gateway gave up: see there.
  if state and redis.call('SISMEMBER', keys.readers(id), reader) == 0 then
    redis.call('HSET', keys.job(id), 'left ' .. reader, 1)
  end
  if state and ARGV[6] == '0' and abandon(id, gateway, now, reader) then return 'kept' end
  if state and readers(id, gateway, nil, reader) > 0 then return 'kept' end
  local idem = keys.idem(ARGV[7])
  if leads_to(idem, id) and not others_cost(id, true) then redis.call('DEL', idem) end
end
return cancel(id, ARGV[3])
