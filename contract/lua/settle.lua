-- settle: keep what an answer's log amounts to, so that nobody need read the log for it again.
--
-- ARGV: now, job, output
-- Returns 1, or 0 where there is no such answer, or it is settled.
clock(ARGV[1])
local key, output = keys.kept(ARGV[2]), ARGV[3]
local client, bytes, most, most_in_all =
  unpack(redis.call('HMGET', key, 'client', 'bytes', 'most', 'most_in_all'))
if not bytes or redis.call('HSETNX', key, 'output', output) == 0 then return 0 end
redis.call('HINCRBY', key, 'bytes', #output)
count_kept(client, #output)
shrink_all(client, most, most_in_all)
return 1
