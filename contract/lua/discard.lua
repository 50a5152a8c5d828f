-- discard: delete a kept answer for its client. One that nobody need wait for is cancelled, if it still runs.
--
-- ARGV: now, job, client, life ms of a finished job
-- Returns 1, or 0 where there is none of this client's.
clock(ARGV[1])
local id, key = ARGV[2], keys.kept(ARGV[2])
local client, background = unpack(redis.call('HMGET', key, 'client', 'background'))
if client ~= ARGV[3] then return 0 end
local state, idem = unpack(redis.call('HMGET', keys.job(id), 'state', 'idem'))
if state then redis.call('HDEL', keys.job(id), 'kept') end
if state and state ~= 'done' and background == '1' then cancel(id, ARGV[4]) end
if idem and state == 'done' and leads_to(idem, id) then redis.call('DEL', idem) end
discard(id, 'deleted')
return 1
