-- note_call: record how far a job's present call to Poe has come, for whoever finds its worker dead.
--
-- `acquire` has noted that it is sent. It is noted again before a second try to send it, where the first
-- found its connection closed: nothing is sent for a client that has left, and nothing by a worker that
-- lost the job while it was frozen.
--
-- ARGV: now, job, epoch, 'sent', 'answered' or '' (it has ended so that the job may be asked again); with
--       '' also what was tried (comma separated), and the attempts that the upstream has failed
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
