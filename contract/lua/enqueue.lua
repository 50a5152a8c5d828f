-- enqueue: accept a request, a job for each of its choices, or say why not.
--
-- Either all choices are accepted or none is, so a refusal has cost nothing.
--
-- Calling it again for the same job changes nothing, so a gateway may repeat it after a lost reply.
-- A client with nothing waiting enters the ring at max(virtual time, where it left the ring): it cannot
-- save up turns while it is idle, and loses none by leaving.
--
-- A gateway that gets no reply in time gives up and tells its client so. A call that arrives after that
-- queues nothing, and a reader that has left by then joins nothing.
--
-- Between `claim` and this, the answer may have been cancelled, or may have failed at no cost. Its key is
-- then forgotten, and must be claimed anew. A refusal forgets the key, too.
--
-- ARGV: now, job, client, gateway, payload (empty: only ask), wait ms, weight, most waiting per
--       client, most waiting in all, life ms of an unfinished job, most unfinished jobs of the client
--       ('' = any), most jobs of the client in any 60 s ('' = any), not after this instant ('' = any),
--       choices, bytes of the payload and its blobs, most bytes stored for the client, most in all; if it
--       may be resumed (else four times ''): reader, ms of grace, ms for which its answer is kept, what it
--       is found by ('' = by its id only); if its answer is to be kept (else seven times ''): head, input,
--       the job that it continues (or ''), 1 if it goes on without its client, ms for which it is kept, most
--       bytes of the client's kept answers, most in all; for the ledger: the client's name and group, the model
--       as the client calls it, points that each choice may cost, msgpack of the budgets in which it counts ('' =
--       none); then pairs: SHA-256 of a blob, its content ('' = it is stored already)
-- Returns {'queued', seq, place in the client's stream} of the last choice (and, for a client with a
-- rate limit, how many requests it may still make, and ms until that is one more, for one without but with
-- budgets twice ''; and with budgets which of them is the tightest, from 0, and what is left of it), {'short', which
-- budget, what is not spent of it} where that is too little, {'full', waiting},
-- {'heavy', bytes}, {'busy', unfinished}, {'late'}, {'forgotten'}, {'limited', ms until the client may
-- ask again}, or {'welcome', the blobs that are not stored} where the payload is empty, or a blob is not
-- stored whose content is left out, and nothing else speaks against it.
local MOST_TRIES, MOST_HELD, HELD_LIFE = 64, 200, 600000
local now, first, client, gateway = clock(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local tally, jobs, choices = keys.client(client), keys.jobs(client), tonumber(ARGV[14])
local reader, idem = ARGV[18] ~= '' and gateway .. ' ' .. ARGV[18], ARGV[21] ~= '' and named(ARGV[21])
local blobs, missing, budgets = {}, {}, ARGV[33] ~= '' and cmsgpack.unpack(ARGV[33]) or {}
for i = 34, #ARGV, 2 do
  blobs[ARGV[i]] = ARGV[i + 1]
  if ARGV[i + 1] == '' and redis.call('EXISTS', keys.blob(ARGV[i])) == 0 then missing[#missing + 1] = ARGV[i] end
end

if now > (tonumber(ARGV[13]) or math.huge) then return { 'late' } end
local given = idem and is_given(idem)
if given and not leads_to(idem, first) then return { 'forgotten' } end

local limit, asked, asks = tonumber(ARGV[12]), keys.asked(client), 0
if limit then
  redis.call('ZREMRANGEBYSCORE', asked, '-inf', now - 60000)
  asks = redis.call('ZCARD', asked)
end

local function join(id)
  local job = keys.job(id)
  if redis.call('HGET', job, 'state') == 'done' or redis.call('HEXISTS', job, 'left ' .. reader) == 1 then return end
  if idem then
    redis.call('HSET', job, 'grace', ARGV[19], 'keep', ARGV[20], 'idem', idem)
    keep(idem, tonumber(ARGV[10]))
  else
    redis.call('HSETNX', job, 'grace', ARGV[19])
    redis.call('HSETNX', job, 'keep', ARGV[20])
  end
  redis.call('ZREM', keys.abandoned, id)
  readers(id, gateway, reader)
end

-- Of which budget the least is left, counted from 0, and how much.
local function tightest()
  local which, least
  for i, budget in ipairs(budgets) do
    local spent, reserved = points_of(budget[1])
    local left = math.max(budget[2] - spent - reserved, 0)
    if not least or left < least then which, least = i - 1, left end
  end
  return which, least
end

local function ticket(seq)
  for number = 1, reader and choices or 0 do join(choice_of(first, number)) end
  local place = seq - (tonumber(redis.call('HGET', tally, 'gone')) or 0)
  local oldest = limit and redis.call('ZRANGE', asked, 0, 0, 'WITHSCORES')[2] or now - 60000
  local asks_left, asks_reset = limit and math.max(limit - asks, 0) or '', limit and oldest + 60000 - now or ''
  if #budgets > 0 then return { 'queued', seq, place, asks_left, asks_reset, tightest() } end
  if limit then return { 'queued', seq, place, asks_left, asks_reset } end
  return { 'queued', seq, place }
end

local new, known = {}, 0
for number = 1, choices do
  local id = choice_of(first, number)
  local seq = tonumber(redis.call('HGET', keys.job(id), 'seq'))
  if seq then known = math.max(known, seq) else new[#new + 1] = id end
end
local function is_lost(id)
  local job = keys.job(id)
  return redis.call('HGET', job, 'state') ~= 'done' and redis.call('SISMEMBER', keys.readers(id), reader) == 0
end
if #new == 0 then
  if idem and not leads_to(idem, first) and is_lost(first) then return { 'forgotten' } end
  return ticket(known)
end

local function refuse(...)
  if idem and known == 0 then
    forget(idem, first)
    if not given then count_refusal(name_in(idem)) end
  end
  return { ... }
end
local function drop_held(client)
  for _, id in ipairs(redis.call('ZRANGE', keys.abandoned, 0, MOST_HELD - 1)) do
    local whose, idem, grace, hold = unpack(redis.call('HMGET', keys.job(id), 'client', 'idem', 'grace', 'keep'))
    -- One in the background has a longer grace.
    if whose == client and idem and not is_given(idem) and grace == hold then
      redis.call('ZREM', keys.abandoned, id)
      cancel(id, HELD_LIFE)
    end
  end
end
local function counts(key, ...)
  local found = redis.call('HMGET', key, ...)
  for i, value in ipairs(found) do found[i] = tonumber(value) or 0 end
  return unpack(found)
end
local queued, aside, stored, open = counts(tally, 'waiting', 'aside', 'bytes', 'open')
local queued_in_all, stored_in_all = counts(keys.totals, 'waiting', 'bytes')
local waiting, waiting_in_all = queued + aside, queued_in_all + redis.call('ZCARD', keys.again)
if waiting + #new > tonumber(ARGV[8]) then return refuse('full', waiting) end
if waiting_in_all + #new > tonumber(ARGV[9]) then return refuse('full', waiting_in_all) end

if stored + ARGV[15] > tonumber(ARGV[16]) then return refuse('heavy', stored) end
if stored_in_all + ARGV[15] > tonumber(ARGV[17]) then return refuse('heavy', stored_in_all) end

-- What goes on only for a resend gives way to what its client asks now.
local most_open = tonumber(ARGV[11]) or math.huge
if open + #new > most_open then
  drop_held(client)
  open = counts(tally, 'open')
end
if open + #new > most_open then return refuse('busy', open) end
local over = limit and asks + #new - limit or 0
if over > 0 then
  -- More than may ever be had at once have no such instant.
  local last = redis.call('ZRANGE', asked, over - 1, over - 1, 'WITHSCORES')[2] or now
  return refuse('limited', last + 60000 - now)
end
local points = tonumber(ARGV[32]) * #new
for i, budget in ipairs(budgets) do
  local spent = points_of(budget[1])
  describe_budget(budget, now)
  if points > 0 and spent + points > budget[2] then
    tell_budget(keys.budget(budget[1]), budget[1], now, true)
    return refuse('short', i - 1, math.max(budget[2] - spent, 0))
  end
end
if ARGV[5] == '' or #missing > 0 then return { 'welcome', unpack(missing) } end

if redis.call('EXISTS', jobs) == 0 then
  redis.call('XGROUP', 'CREATE', jobs, 'workers', '0', 'MKSTREAM')
end
if idem and not given then
  -- So many equal requests at once have lost sight of each other.
  if redis.call('HLEN', idem) >= MOST_TRIES then redis.call('DEL', idem) end
  redis.call('HSET', idem, first, now)
end
store_payload(first, new, choices, client, ARGV[5], ARGV[15], blobs, now + ARGV[10])
if ARGV[22] ~= '' then
  redis.call('HSET', keys.job(first), 'kept', 1)
  redis.call('HSET', keys.kept(first), 'client', client, 'head', ARGV[22], 'input', ARGV[23], 'previous', ARGV[24],
    'background', ARGV[25], 'life', ARGV[26], 'most', ARGV[27], 'most_in_all', ARGV[28])
  redis.call('PEXPIRE', keys.kept(first), ARGV[10])
end
local seq, virtual, left_at
queued, open, seq, left_at = counts(tally, 'waiting', 'open', 'seq', 'turn')
queued_in_all, virtual = counts(keys.totals, 'waiting', 'virtual')
for _, id in ipairs(new) do
  local entry = redis.call('XADD', jobs, '*', 'id', id)
  seq = seq + 1
  redis.call('HSET', keys.job(id), 'client', client, 'gateway', gateway, 'entry', entry, 'seq', seq,
    'state', 'queued', 'epoch', 0, 'attempt', 0, 'at', now, 'deadline', now + ARGV[6],
    'name', ARGV[29], 'group', ARGV[30], 'asked', ARGV[31], 'estimate', ARGV[32])
  if #budgets > 0 then redis.call('HSET', keys.job(id), 'budgets', ARGV[33]) end
  redis.call('PEXPIRE', keys.job(id), ARGV[10])
  redis.call('SADD', keys.served(gateway), id)
  ring_bell()
  if limit then redis.call('ZADD', asked, now, id) end
end
redis.call('HSET', tally, 'weight', ARGV[7], 'seq', seq, 'waiting', queued + #new, 'open', open + #new)
redis.call('HSET', keys.totals, 'waiting', queued_in_all + #new)
if limit then
  redis.call('PEXPIRE', asked, 60000)
  asks = asks + #new
end
if not redis.call('ZSCORE', keys.ring, client) then
  redis.call('ZADD', keys.ring, string.format('%.17g', math.max(virtual, left_at)), client)
end
return ticket(seq)
