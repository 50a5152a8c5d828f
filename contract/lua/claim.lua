-- claim: which job answers the requests with this idempotency key?
--
-- The first request names the job, and all later ones get that name. Each of them may then enqueue the
-- job. So a gateway that dies in between leaves nothing undone, and the key of a job that is never
-- queued is soon forgotten.
--
-- ARGV: now, name of the idempotency key, body digest, job (empty: start none), unix time in seconds,
--       ms within which the job must be queued
-- Returns {job, unix time in seconds}, {} where the key belongs to another body, or {''} where it
-- belongs to no job, and none is to be started.
clock(ARGV[1])
local idem = keys.idem(ARGV[2])
local job, created, body = unpack(redis.call('HMGET', idem, 'job', 'created', 'body'))
if job and body ~= ARGV[3] then return {} end
if job then
  redis.call('PEXPIRE', idem, ARGV[6], 'GT')
  return { job, created }
end
if ARGV[4] == '' then return { '' } end
redis.call('HSET', idem, 'job', ARGV[4], 'created', ARGV[5], 'body', ARGV[3])
redis.call('PEXPIRE', idem, ARGV[6])
return { ARGV[4], ARGV[5] }
