-- cancel: nobody is left to read this job's answer.
--
-- A job that no worker has is gone at once and costs nothing. A worker that has it is told on its
-- control channel, and again by its next append.
--
-- ARGV: now, job, life ms of a finished job
-- Returns 'dropped', 'told' or 'gone'.
local id = ARGV[2]
local state, owner = unpack(redis.call('HMGET', job_key(id), 'state', 'owner'))
if not state or state == 'done' then return 'gone' end
if state == 'running' then
  redis.call('HSET', job_key(id), 'cancelled', 1)
  redis.call('PUBLISH', 'p2g:control:' .. owner, id)
  return 'told'
end
finish(id, ARGV[3])
return 'dropped'
