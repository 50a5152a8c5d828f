-- stop: cancel an answer that goes on without its client, whoever reads it; or end it because it has waited
-- too long: nobody else looks at it while no worker is free.
--
-- ARGV: now, job, client, life ms of a finished job, events that end it, 1 if only one that has waited too long
-- Returns 'unknown', 'attended' (it ends with its client), 'ended', 'told' (its worker was), or 'waits'.
local now, id = clock(ARGV[1]), ARGV[2]
local client, background = unpack(redis.call('HMGET', keys.kept(id), 'client', 'background'))
if client ~= ARGV[3] then return 'unknown' end
if background ~= '1' then return 'attended' end
local state, deadline = unpack(redis.call('HMGET', keys.job(id), 'state', 'deadline'))
if not state or state == 'done' then return 'ended' end
if ARGV[6] == '1' and (state == 'running' or not is_overdue(id, deadline, now)) then return 'waits' end
if state == 'running' then
  redis.call('HSET', keys.job(id), 'ending', ARGV[5])
  return cancel(id, ARGV[4])
end
fail(id, ARGV[5], ARGV[4], true)
return 'ended'
