-- withdraw: a client will wait no longer. End the jobs of its request, unless they may have cost points.
--
-- Once a call of one of them may have left for Poe, all of them go on. Until then no call leaves: without
-- `note_call` nothing is sent, and that refuses a job that is cancelled.
--
-- ARGV: now, job, choices, life ms of a finished job, and if it may be resumed: gateway, reader, what
--       it is found by
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
if gateway and not is_given(named(ARGV[7])) then count_refusal(name_in(named(ARGV[7]))) end
return 1
