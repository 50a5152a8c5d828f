-- enqueue: accept a job, or say why not.
--
-- Calling it again for the same job changes nothing, so a gateway may repeat it after a lost reply.
-- A client with nothing waiting enters the ring at max(virtual time, where it left off): it cannot
-- save up turns while idle, and cannot lose any by leaving.
--
-- A gateway that has heard nothing for too long has given up, and told its client so: what arrives
-- after that is not taken, and who has left by then joins nobody.
--
-- Between a claim and this, the answer may have been cancelled, or have failed at no cost: then its
-- key has been forgotten, and whoever comes with it must claim it anew.
--
-- ARGV: now, job, client, gateway, payload, wait ms, weight, most waiting per client, most waiting
--       in all, life ms of an unfinished job, most unfinished jobs of the client ('' = any), most
--       jobs of the client in any 60 s ('' = any), not after this instant ('' = any), and if it may
--       be resumed: reader, ms of grace, ms for which its answer is kept, its idempotency key
-- Returns {'queued', seq, place in the client's stream} (and, for a client that may not ask as often
-- as it likes, how often it still may, and ms until that is one more), {'full', waiting}, {'busy',
-- unfinished}, {'late'}, {'forgotten'} or {'limited', ms until the client may ask again}.
local now, id, client, gateway = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local job, tally, jobs = job_key(id), 'p2g:client:' .. client, 'p2g:jobs:' .. client
local reader, idem = ARGV[14] and gateway .. ' ' .. ARGV[14], ARGV[17]

if now > (tonumber(ARGV[13]) or math.huge) then return { 'late' } end
if idem and not leads_to(idem, id) then return { 'forgotten' } end

local limit, asked, asks = tonumber(ARGV[12]), 'p2g:asked:' .. client, 0
if limit then
  redis.call('ZREMRANGEBYSCORE', asked, '-inf', now - 60000)
  asks = redis.call('ZCARD', asked)
end

local function ticket(seq)
  if reader and redis.call('HGET', job, 'state') ~= 'done' and redis.call('HEXISTS', job, 'left ' .. reader) == 0 then
    redis.call('HSET', job, 'grace', ARGV[15], 'keep', ARGV[16], 'idem', idem)
    redis.call('PEXPIRE', idem, ARGV[10])
    redis.call('ZREM', 'p2g:abandoned', id)
    readers(id, gateway, reader)
  end
  local place = seq - (tonumber(redis.call('HGET', tally, 'gone')) or 0)
  if not limit then return { 'queued', seq, place } end
  local first = redis.call('ZRANGE', asked, 0, 0, 'WITHSCORES')[2] or now - 60000
  return { 'queued', seq, place, math.max(limit - asks, 0), first + 60000 - now }
end
local known = tonumber(redis.call('HGET', job, 'seq'))
if known then return ticket(known) end

local waiting = (tonumber(redis.call('HGET', tally, 'waiting')) or 0)
  + (tonumber(redis.call('HGET', tally, 'aside')) or 0)
local waiting_in_all = (tonumber(redis.call('HGET', 'p2g:totals', 'waiting')) or 0)
  + redis.call('ZCARD', 'p2g:again')
if waiting >= tonumber(ARGV[8]) then return { 'full', waiting } end
if waiting_in_all >= tonumber(ARGV[9]) then return { 'full', waiting_in_all } end

local open = tonumber(redis.call('HGET', tally, 'open')) or 0
if open >= (tonumber(ARGV[11]) or math.huge) then return { 'busy', open } end
if limit then
  local oldest = redis.call('ZRANGE', asked, -limit, -limit, 'WITHSCORES')[2]
  if oldest then return { 'limited', oldest + 60000 - now } end
  redis.call('ZADD', asked, now, id)
  asks = asks + 1
  redis.call('PEXPIRE', asked, 60000)
end

if redis.call('EXISTS', jobs) == 0 then
  redis.call('XGROUP', 'CREATE', jobs, 'workers', '0', 'MKSTREAM')
end
local entry = redis.call('XADD', jobs, '*', 'id', id, 'job', ARGV[5])
local seq = redis.call('HINCRBY', tally, 'seq', 1)
redis.call('HINCRBY', tally, 'waiting', 1)
redis.call('HINCRBY', tally, 'open', 1)
redis.call('HINCRBY', 'p2g:totals', 'waiting', 1)
redis.call('HSET', tally, 'weight', ARGV[7])
redis.call('HSET', job, 'client', client, 'gateway', gateway, 'entry', entry, 'seq', seq,
  'state', 'queued', 'epoch', 0, 'attempt', 0, 'at', now, 'deadline', now + tonumber(ARGV[6]))
redis.call('PEXPIRE', job, ARGV[10])
redis.call('SADD', 'p2g:served:' .. gateway, id)

if not redis.call('ZSCORE', 'p2g:ring', client) then
  local virtual = tonumber(redis.call('HGET', 'p2g:totals', 'virtual')) or 0
  local left_at = tonumber(redis.call('HGET', tally, 'turn')) or 0
  redis.call('ZADD', 'p2g:ring', string.format('%.17g', math.max(virtual, left_at)), client)
end
redis.call('LPUSH', 'p2g:bell', 1)
redis.call('LTRIM', 'p2g:bell', 0, 999)
return ticket(seq)
