-- call: how far the present call of a job has come, for whoever finds its worker dead.
--
-- It is noted before the first byte leaves, so nothing is sent that Redis does not know of, nor for a
-- client that has left, nor by a worker that the job was taken from while it was frozen. A call that
-- asks for a correction follows one that was paid for, so the job stays 'answered'.
--
-- ARGV: now, job, epoch, 'sent', 'answered' or '' (ended so that the job may be asked again); with the
--       last what was tried (comma separated), and the attempts that the upstream has failed
-- Returns 1, or 0 where the job is no longer the caller's, or its client has left.
clock(ARGV[1])
local key, call = keys.job(ARGV[2]), ARGV[4]
local epoch, cancelled, state, was = unpack(redis.call('HMGET', key, 'epoch', 'cancelled', 'state', 'call'))
if epoch ~= ARGV[3] or cancelled or state == 'done' then return 0 end
-- Two notes may overtake each other: only a call that was sent can be answered.
if (call == 'answered' and was ~= 'sent') or (call == 'sent' and was == 'answered') then return 1 end
redis.call('HSET', key, 'call', call)
if call == '' then redis.call('HSET', key, 'tried', ARGV[5], 'failures', ARGV[6]) end
return 1
