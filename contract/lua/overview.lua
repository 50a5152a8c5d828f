-- overview: who waits, what runs and who is alive, for people to look at. It changes nothing.
--
-- Of each list no more is looked at than is asked for, so this costs what is shown and not what
-- there is: of the clients those whose turn is next, of the answers some of each worker.
--
-- ARGV: now, most clients, most answers, most workers and gateways
-- Returns {now, waiting, aside (of these in `again`), dispatched, clients with work waiting,
--   {client, turn, weight, waiting, aside, running, gone, its key's name, its key's group (both as JSON),
--    when its oldest job came, the name and the group that this has} of each client,
--   {worker, ms until its heartbeat lapses, report, answers that it runs} of each worker,
--   {gateway, ms until its heartbeat lapses, answers that it relays} of each gateway,
--   {job, worker, client, name, group, model, label, asked, dispatched, sent, attempt, call, begun,
--    records in its log} of each answer}; what is not known is ''.
local now, most, most_answers, most_alive = clock(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local function fields(key, ...)
  local values = redis.call('HMGET', key, ...)
  for i = 1, select('#', ...) do values[i] = values[i] or '' end
  return values
end

-- The first job in a client's stream that no worker has had, and what is known of it.
local function oldest_of(client)
  local jobs = keys.jobs(client)
  local groups = redis.pcall('XINFO', 'GROUPS', jobs)
  if groups.err or not groups[1] then return { '', '', '' } end
  local last = '-'
  for i = 1, #groups[1], 2 do
    if groups[1][i] == 'last-delivered-id' then last = '(' .. groups[1][i + 1] end
  end
  local entry = redis.call('XRANGE', jobs, last, '+', 'COUNT', 1)[1]
  return entry and fields(keys.job(entry[2][2]), 'at', 'name', 'group') or { '', '', '' }
end

local clients, is_known = {}, {}
local function add_client(client, turn)
  if is_known[client] or #clients >= most then return end
  is_known[client] = true
  local tally = fields(keys.client(client), 'weight', 'waiting', 'aside', 'running', 'gone')
  local stored = fields(keys.stored_key(client), 'name', 'group')
  clients[#clients + 1] = { client, turn, tally[1], tally[2], tally[3], tally[4], tally[5], stored[1], stored[2],
    unpack(oldest_of(client)) }
end

local function add_waiting(key)
  local waiting = redis.call('ZRANGE', key, 0, most - 1, 'WITHSCORES')
  for i = 1, #waiting, 2 do add_client(waiting[i], waiting[i + 1]) end
end

add_waiting(keys.ring)
-- Those of whom no model has a free token wait outside the ring.
for _, model in ipairs(redis.call('SRANDMEMBER', keys.lanes, most)) do
  if #clients < most then add_waiting(keys.lane(model)) end
end

local answers = {}
local function add_answer(worker, id)
  local known = fields(keys.job(id), 'client', 'name', 'group', 'asked', 'model', 'label', 'at', 'dispatched',
    'sent', 'attempt', 'call', 'begun')
  local client, model = known[1], known[4] ~= '' and known[4] or known[5]
  if client == '' then return end
  add_client(client, '')
  answers[#answers + 1] = { id, worker, client, known[2], known[3], model, known[6], known[7], known[8], known[9],
    known[10], known[11], known[12], redis.call('XLEN', keys.log(id)) }
end

local workers = {}
local living = redis.call('ZRANGE', keys.workers, '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, most_alive, 'WITHSCORES')
local each = math.max(1, math.floor(most_answers / math.max(1, #living / 2)))
for i = 1, #living, 2 do
  local worker = living[i]
  local count = redis.call('SCARD', keys.owned(worker))
  workers[#workers + 1] = { worker, living[i + 1] - now, redis.call('GET', keys.worker(worker)) or '', count }
  -- A small set comes whole, and of a large one always the same part.
  for n, id in ipairs(redis.call('SSCAN', keys.owned(worker), 0, 'COUNT', each)[2]) do
    if n > each then break end
    add_answer(worker, id)
  end
end

local gateways = {}
living = redis.call('ZRANGE', keys.gateways, '(' .. now, '+inf', 'BYSCORE', 'LIMIT', 0, most_alive, 'WITHSCORES')
for i = 1, #living, 2 do
  gateways[#gateways + 1] = { living[i], living[i + 1] - now, redis.call('SCARD', keys.served(living[i])) }
end

local waiting, dispatched = unpack(fields(keys.totals, 'waiting', 'dispatched'))
local aside = redis.call('ZCARD', keys.again)
return { now, (tonumber(waiting) or 0) + aside, aside, tonumber(dispatched) or 0, redis.call('ZCARD', keys.ring),
  clients, workers, gateways, answers }
