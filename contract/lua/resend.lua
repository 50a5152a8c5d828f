-- resend: which answer does a request belong to that may have been sent before?
--
-- Without an idempotency key nothing tells two questions from one that is asked twice, so equal requests
-- are kept apart unless the client's own headers say otherwise. A request that says so joins, in this
-- order: an answer whose readers have all left, one that others still read (its own connection may be
-- lost, and nobody knows), and, if it counts as a retry, one that has been read to its end just now.
-- For each equal request that was refused, one such request begins anew instead of joining others.
--
-- ARGV: now, name, job (empty: none may be begun), '' (sent for the first time), 'session' or 'retry',
--       choices, unix time in seconds, ms within which the job must be queued
-- Returns {job, unix time in seconds}, or {''} where the request joins no answer and may not begin one.
local now, name, sent, choices = clock(ARGV[1]), ARGV[2], ARGV[4], tonumber(ARGV[5])
local tries, ended = keys.tries(name), keys.ended(name)
local best

local function offer(job, at, readers)
  if not best or readers < best.readers or (readers == best.readers and at < best.at) then
    best = { job = job, at = at, readers = readers }
  end
end

-- Returns how many read a request that has not ended; false for one that cannot be joined.
local function readers_of(first, at)
  if redis.call('EXISTS', keys.job(first)) == 0 then return now < at + ARGV[7] and 1 end
  local most, ends = 0, 0
  for number = 1, choices do
    local id = choice_of(first, number)
    local state, cancelled = unpack(redis.call('HMGET', keys.job(id), 'state', 'cancelled'))
    if cancelled then return false end
    if state == 'done' then ends = ends + 1 end
    most = math.max(most, redis.call('SCARD', keys.readers(id)))
  end
  return ends < choices and most
end

if sent ~= '' then
  local found = redis.call('HGETALL', tries)
  for i = 1, #found, 2 do
    local at = tonumber(found[i + 1])
    local readers = readers_of(found[i], at)
    if readers then offer(found[i], at, readers) else redis.call('HDEL', tries, found[i]) end
  end
  local job, at, read = unpack(redis.call('HMGET', ended, 'job', 'at', 'read'))
  if job and (read == '0' or sent == 'retry') then offer(job, tonumber(at), read == '0' and 0 or math.huge) end
end

if not (best and best.readers == 0) and (tonumber(redis.call('GET', keys.refused(name))) or 0) > 0 and sent ~= '' then
  redis.call('DECR', keys.refused(name))
  best = nil
end
if best then
  -- Another resend that comes before this one reads takes the next.
  if redis.call('HGET', ended, 'job') == best.job then redis.call('HSET', ended, 'read', 1)
  else redis.call('HSET', tries, best.job, now) end
  return { best.job, math.floor((redis.call('HGET', keys.job(best.job), 'at') or best.at) / 1000) }
end
if ARGV[3] == '' then
  count_refusal(name)
  return { '' }
end
redis.call('HSET', tries, ARGV[3], now)
keep(tries, tonumber(ARGV[7]))
return { ARGV[3], ARGV[6] }
