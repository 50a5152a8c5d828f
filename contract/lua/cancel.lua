-- cancel: a reader of a job's answer has left.
--
-- A job ends when nobody reads it any longer. If it may be resumed, it first goes on for its grace,
-- unless it must end now because its client was refused.
--
-- ARGV: now, job, life ms of a finished job, and if it may be resumed: gateway, reader, 1 if it must
--       end now, what it is found by
-- Returns 'dropped', 'told' or 'gone'; or 'kept' where the job goes on.
local now, id, gateway = clock(ARGV[1]), ARGV[2], ARGV[4]
if gateway then
  local reader, state = gateway .. ' ' .. ARGV[5], redis.call('HGET', keys.job(id), 'state')
  local idem = named(ARGV[7])
  if state == 'done' then
    -- It has not read to the end, so it may come back for the rest.
    local keep, cancelled = unpack(redis.call('HMGET', keys.job(id), 'keep', 'cancelled'))
    if not is_given(idem) and keep and not cancelled then note_end(name_in(idem), id, keep, false) end
    return 'gone'
  end
  -- It may be about to join still, in an enqueue that its gateway gave up: see there.
  if state and redis.call('SISMEMBER', keys.readers(id), reader) == 0 then
    redis.call('HSET', keys.job(id), 'left ' .. reader, 1)
  end
  if state and ARGV[6] == '0' and abandon(id, gateway, now, reader) then return 'kept' end
  if state and readers(id, gateway, nil, reader) > 0 then return 'kept' end
  if leads_to(idem, id) and not others_cost(id, true) then forget(idem, id) end
end
return cancel(id, ARGV[3])
