-- withdraw: the client will not wait any longer; the jobs of its request end, unless it may have to
-- be paid for.
--
-- Once a call of one of them may have left for Poe, all go on. Until then none will: `call`, without
-- which nothing is sent, refuses a job that is cancelled.
--
-- ARGV: now, job, choices, life ms of a finished job, and if it may be resumed: gateway, reader, key
--       of its idempotency key
-- Returns 1 where the jobs are gone, or go on for other readers only; 0 where they go on.
clock(ARGV[1])
local first, choices, gateway = ARGV[2], tonumber(ARGV[3]), ARGV[5]
for number = 1, choices do
  local id = choice_of(first, number)
  if redis.call('HGET', keys.job(id), 'state') == 'done' or may_have_cost(id) then return 0 end
end
for number = 1, choices do
  local id = choice_of(first, number)
  local known = redis.call('EXISTS', keys.job(id)) == 1
  if not (gateway and known and readers(id, gateway, nil, gateway .. ' ' .. ARGV[6]) > 0) then cancel(id, ARGV[4]) end
end
return 1
