-- acquire: may this token start one more call now?
--
-- The limits are enforced here; a worker's own pool only predicts them. Each use of an account is stored
-- under the latest instant at which the call may reach Poe: the grant plus the guard, within which the
-- worker must send the call or give the grant back. Once it has sent the call, it lowers that instant to
-- the real one. So a worker that freezes between grant and call breaks no limit, and one that does not
-- wastes nothing. A grant expires by itself if its worker dies.
--
-- A grant is also the note that the job's call is sent: whoever finds the worker dead goes by it. So the
-- worker asks with its connection to Poe open, and nothing is sent that Redis does not know of.
--
-- A token that is configured under another `account` brings along the uses of its former account, and
-- so do the other tokens of the new account, which may all have been used under another one until now.
--
-- ARGV: now, worker, batch, fence, token, account, grant, rate limit, window ms, cooldown ms,
--       most in flight, guard ms, life ms of a grant, job, epoch in which it is the worker's, label of the
--       token, then every other token of the account
-- A call that follows one which may have been paid for needs points of its own, beside those that are reserved.
-- The job waits for them for `PATIENCE` in all: others that wait likewise may hold what it needs.
--
-- Returns {'granted', now}, {'wait', ms}, {'full'}, {'parked', ms, why}, {'lost'}, {'gone'} where
-- the job's client has left or another worker has the job, or {'short'} where the budgets have no points for
-- another call now, and where they will have none {'short', points, what is left, budget}.
local PATIENCE = 15000
local now, worker, account, grant = clock(ARGV[1]), ARGV[2], ARGV[6], ARGV[7]
local uses, grants = keys.uses(account), keys.grants(account)

local owner, fence, expires = unpack(redis.call('HMGET', keys.lease(ARGV[3]), 'owner', 'fence', 'expires'))
if owner ~= worker or fence ~= ARGV[4] or tonumber(expires) <= now then return { 'lost' } end

local job = keys.job(ARGV[14])
local epoch, cancelled, state, call, budgets, tried =
  unpack(redis.call('HMGET', job, 'epoch', 'cancelled', 'state', 'call', 'budgets', 'tried'))
if cancelled or state == 'done' or (epoch and epoch ~= ARGV[15]) then return { 'gone' } end

local parked, why, held = unpack(redis.call('HMGET', keys.token(ARGV[5]), 'until', 'state', 'held'))
if held_for(held, now) then return { 'parked', held_for(held, now), 'held' } end
if parked and tonumber(parked) > now then return { 'parked', parked - now, why } end
adopt(ARGV[5], account)
for i = 17, #ARGV do adopt(ARGV[i], account) end
local rests = tonumber(redis.call('HGET', keys.token(account), 'rests')) or 0
if rests > now then return { 'wait', rests - now } end

redis.call('ZREMRANGEBYSCORE', grants, '-inf', now)
local mine = redis.call('ZSCORE', grants, grant)
if mine then return { 'granted', mine - ARGV[13] } end -- our own retry after a lost reply
if redis.call('ZCARD', grants) >= tonumber(ARGV[11]) then return { 'full' } end

local window, cooldown = tonumber(ARGV[9]), tonumber(ARGV[10])
redis.call('ZREMRANGEBYSCORE', uses, '-inf', now - math.max(window, cooldown))
local last = redis.call('ZRANGE', uses, -1, -1, 'WITHSCORES')[2]
if cooldown > 0 and last and last + cooldown > now then
  -- One that is not sent yet will have been in a moment, so its own guard is no time to wait.
  return { 'wait', math.min(last, now) + cooldown - now }
end
local rate = tonumber(ARGV[8])
local oldest = redis.call('ZRANGE', uses, -rate, -rate, 'WITHSCORES')[2]
if oldest and oldest + window > now then return { 'wait', oldest + window - now } end

local earlier = presumed_cost(call, tried)[1]
if budgets and earlier > 0 then
  local reserved, estimate, since = unpack(redis.call('HMGET', job, 'reserved', 'estimate', 'short'))
  local had = reserved and cmsgpack.unpack(reserved)[2] or 0
  local points = math.max((earlier + 1) * estimate, had)
  budgets = cmsgpack.unpack(budgets)
  local verdict, which, left = room_in_budgets(ARGV[14], budgets, points, 0, now, had)
  if verdict == 'later' and now < (tonumber(since) or now) + PATIENCE then
    redis.call('HSETNX', job, 'short', now)
    return { 'short' }
  elseif verdict ~= 'yes' then
    return { 'short', points - had, math.max(left - had, 0), which[7] }
  elseif points > had then
    if reserved then give_back(reserved, now) end
    reserve(ARGV[14], budgets, points, now)
  end
end

local guard, life = tonumber(ARGV[12]), tonumber(ARGV[13])
enter(uses, grant, now + guard, guard + math.max(window, cooldown))
enter(grants, grant, now + life, life)
if ARGV[5] ~= account then redis.call('SET', keys.account(ARGV[5]), account, 'PX', life + SPARE) end
-- A call that asks for a correction follows one that was paid for, so its job stays 'answered'.
if call == 'answered' and not is_among('corrected', tried or '') then
  redis.call('HSET', job, 'tried', (tried and tried ~= '') and tried .. ',corrected' or 'corrected')
end
redis.call('HSET', job, 'token', ARGV[5], 'account', account, 'grant', grant, 'label', ARGV[16], 'sent', now,
  'call', call == 'answered' and call or 'sent')
redis.call('PEXPIRE', job, tonumber(ARGV[13]), 'NX')
return { 'granted', now }
