-- stop: cancel an answer that goes on without its client, whoever reads it.
--
-- ARGV: now, job, client, life ms of a finished job, events of a cancelled job
-- Returns 'unknown', 'attended' (it ends with its client), 'ended', or 'told' (its worker was).
clock(ARGV[1])
local id = ARGV[2]
local client, background = unpack(redis.call('HMGET', keys.kept(id), 'client', 'background'))
if client ~= ARGV[3] then return 'unknown' end
if background ~= '1' then return 'attended' end
local state = redis.call('HGET', keys.job(id), 'state')
if not state or state == 'done' then return 'ended' end
if state == 'running' then return cancel(id, ARGV[4]) end
fail(id, ARGV[5], ARGV[4], true)
return 'ended'
