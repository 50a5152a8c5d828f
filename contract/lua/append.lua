-- append: add the next records to any number of answers.
--
-- The log of a job is the truth; the frame that is published here only makes reading fast. Redis refuses
-- an id that is not above the last one. Within the job's epoch, that means that our own earlier attempt
-- at this append did arrive, and its reply was lost. Another epoch means that the job was given to
-- another worker, and this one must stop. Nothing follows the last record.
--
-- What has become of the calls to Poe meanwhile rides along. A call that was sent counts from then on as
-- used at that instant, no longer at the latest possible. With the last record, the job's last grant is
-- given back.
--
-- ARGV: now, life ms of a finished job, number of notes, then for each note: job, epoch, instant at which
--       its call was sent at the latest ('' = nothing new), 1 if it was answered; then for each record:
--       job, epoch, seq, mark, bytes. The mark is 0 for no output, 1 for output, 2 for the last record,
--       3 for the last record of a failure that has cost nothing; behind 2 or 3 there is the msgpack of what the
--       ledger is told: the outcome, and a `Cost` or nothing
-- Returns for each record 0 = appended, 1 = appended, and its client has left, 2 = stale.
local function note(id, at, sent, answered)
  local epoch, state, call, account, grant =
    unpack(redis.call('HMGET', keys.job(id), 'epoch', 'state', 'call', 'account', 'grant'))
  if epoch ~= at or state == 'done' then return end
  if sent ~= '' and grant then redis.call('ZADD', keys.uses(account), 'XX', 'LT', sent, grant) end
  -- Two notes may overtake each other: only a call that was sent can be answered.
  if answered == '1' and call == 'sent' then redis.call('HSET', keys.job(id), 'call', 'answered') end
end

local function give_back_grant(id)
  local token, account, grant = unpack(redis.call('HMGET', keys.job(id), 'token', 'account', 'grant'))
  if token then end_call(token, account, grant) end
end

local verdicts, frames, first = {}, {}, 4 + 4 * ARGV[3]
for i = 4, first - 1, 4 do note(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) end
for i = first, #ARGV, 5 do
  local id, epoch, seq, mark, record = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local current, gateway, cancelled, begun, state =
    unpack(redis.call('HMGET', keys.job(id), 'epoch', 'gateway', 'cancelled', 'begun', 'state'))
  local verdict, at = cancelled and 1 or 0, epoch .. '-' .. seq
  if current ~= epoch then
    verdict = 2
  elseif state == 'done' then
    if #redis.call('XRANGE', keys.log(id), at, at) == 0 then verdict = 2 end
  else
    local added = redis.pcall('XADD', keys.log(id), at, 'r', record)
    if type(added) == 'table' and added.err then
      if not string.find(added.err, 'equal or smaller', 1, true) then return added end
    else
      -- The last record sets the log's life anew.
      if seq == '1' and mark < '2' then redis.call('PEXPIRE', keys.log(id), redis.call('PTTL', keys.job(id))) end
      frame(frames, gateway, record)
      if mark == '1' and not begun then redis.call('HSET', keys.job(id), 'begun', 1) end
      if mark >= '2' then
        give_back_grant(id)
        local outcome, cost = unpack(cmsgpack.unpack(string.sub(mark, 2)))
        finish(id, ARGV[2], string.sub(mark, 1, 1) == '3', outcome, cost)
      end
    end
  end
  verdicts[#verdicts + 1] = verdict
end
publish(frames)
return verdicts
