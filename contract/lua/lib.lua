-- Shared by all scripts: the clock, the bytes of a record, and how a job ends.
--
-- `keys` are those of contract/keys.py, spelled out when a script is loaded (contract/scripts.py).
-- Scripts build key names themselves, so one primary holds all keys. Times are milliseconds
-- of Redis's own clock, less the steps by which it has been set; see clock.lua. The first argument of
-- each script is what its caller knows of the time by a clock that nobody sets: nothing (0), or
-- `<earliest>-<latest>`, within which it is kept; or, in tests only, the one instant that it is.
--
-- A client's hash counts its jobs: `open` until they end, `waiting` in its stream, `running` at a
-- worker; `seq` and `gone` are how many ever entered and left the stream, so seq - gone tells a
-- job's place in it. `bytes` is what is stored of its requests; see `store_payload`.

-- The time by the server alone, and when it was last seen to be right.
local function wall()
  local t = redis.call('TIME')
  local offset, last = unpack(redis.call('HMGET', keys.clock, 'offset', 'last'))
  return t[1] * 1000 + math.floor(t[2] / 1000) + (tonumber(offset) or 0), tonumber(last) or 0
end

local function read_clock(given)
  if (tonumber(given) or 0) > 0 then return tonumber(given) end
  local now, last = wall()
  local earliest, latest = string.match(given, '(%d+)-(%d+)')
  if not earliest then return math.max(now, last) end
  return math.min(math.max(now, tonumber(earliest)), tonumber(latest))
end

-- All of a script happens at one instant.
local instant
local function clock(given)
  instant = instant or read_clock(given)
  return instant
end

-- For how long what limits count is kept beyond its time. Redis forgets keys by its wall clock, so
-- one that is set ahead by less than this forgets no limit.
local SPARE = 24 * 60 * 60 * 1000

-- For how long workers believe that a token is held; then they look anew.
local LONGEST_HOLD = 60 * 60 * 1000

-- A key that expires outlives all that is in it: it stays for `ms` more, or for as long as it would
-- have anyway.
local function keep(key, ms)
  if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end

-- Enters a use or a call in flight under the instant that it has, where it counts for `ms` more. The
-- key's life is extended for a minute at a time: each extension is a write, like the entry itself.
local AHEAD = 60 * 1000
local function enter(key, member, at, ms)
  redis.call('ZADD', key, at, member)
  if redis.call('PTTL', key) < ms + SPARE then redis.call('PEXPIRE', key, ms + SPARE + AHEAD) end
end

-- Leaves an alert for whichever worker takes it (contract/alerts.py) once so much of a budget is spent: once for
-- each percentage, and again only under another limit. `counter` is the key of the budget's hash, which has what
-- is `spent` of its `limit`, the instant at which it `renews`, if it does, and whose it is: `kind`, `name`, `period`.
-- `refused`: what is left was too little for a request, so from 80 % on it counts as spent.
local function tell_budget(counter, budget, now, refused)
  local spent, limit, renews, kind, name, period =
    unpack(redis.call('HMGET', counter, 'spent', 'limit', 'renews', 'kind', 'name', 'period'))
  local whole = tonumber(limit) or 0
  for _, percent in ipairs(whole > 0 and { 80, 100 } or {}) do
    local told = 'told' .. percent
    if (tonumber(spent) or 0) * 100 >= whole * (refused and 80 or percent) and redis.call('HGET', counter, told) ~= limit then
      redis.call('HSET', counter, told, limit)
      redis.call('ZADD', keys.alerts, now, cmsgpack.pack({ budget, kind or '', name or '', period or '', percent,
        tonumber(spent), whole, tonumber(renews) or 0, now }))
      redis.call('ZREMRANGEBYRANK', keys.alerts, 0, -1001)
    end
  end
end

-- Sets fields of a hash by the arguments from the `first` on, which are pairs: field, value ('' = delete it).
local function set_fields(key, first)
  for i = first, #ARGV, 2 do
    if ARGV[i + 1] == '' then
      redis.call('HDEL', key, ARGV[i])
    else
      redis.call('HSET', key, ARGV[i], ARGV[i + 1])
    end
  end
end

-- For how many more ms an operator has set a token aside; none: it may be used.
local function held_for(held, now)
  local ms = held and (held == 'inf' and LONGEST_HOLD or math.min(held - now, LONGEST_HOLD))
  return ms and ms > 0 and ms or nil
end

-- Poe tokens were added or removed, or an operator has parked one: workers look at them anew. The
-- version is another one even if a replica takes over that has not heard of the last.
local function tokens_changed(now)
  local last = tonumber(redis.call('GET', keys.poe_tokens_version)) or 0
  redis.call('SET', keys.poe_tokens_version, string.format('%.0f', math.max(now, last + 1)))
end

-- The account under which a token was last used; it may be configured under another one by now.
local function account_of(token) return redis.call('GET', keys.account(token)) or token end

-- The account that a worker knows a token by, and the one that it has moved to.
local function both(account, other) return account == other and { account } or { account, other } end

-- A call is in flight no longer, under whichever account its token is known.
local function end_call(token, account, grant)
  for _, each in ipairs(both(account, account_of(token))) do redis.call('ZREM', keys.grants(each), grant) end
end

-- A token brings the uses, the calls in flight and the rest of the account that it was last used
-- under. They stay there as well, for a worker that has not heard of its new account.
local function adopt(token, account)
  local former = account_of(token)
  if former ~= account then
    local moves = { [keys.uses(former)] = keys.uses(account), [keys.grants(former)] = keys.grants(account) }
    for from, to in pairs(moves) do
      local life = math.max(redis.call('PTTL', from), redis.call('PTTL', to))
      if redis.call('ZUNIONSTORE', to, 2, to, from, 'AGGREGATE', 'MAX') > 0 then redis.call('PEXPIRE', to, life) end
    end
    local rests = tonumber(redis.call('HGET', keys.token(former), 'rests')) or 0
    if rests > (tonumber(redis.call('HGET', keys.token(account), 'rests')) or 0) then
      redis.call('HSET', keys.token(account), 'rests', rests)
    end
    redis.call('SET', keys.account(token), account, 'PX', SPARE)
  end
end

-- The choices of a request are jobs, whose names follow from that of the first: j, j-1, j-2.
local function first_of(id) return string.match(id, '^[^-]+') end
local function choice_of(first, number) return number == 1 and first or first .. '-' .. number - 1 end
local function payload_key(id)
  local first = first_of(id)
  return keys.payload(first)
end

-- A request is stored once for all its choices, until the last of them has ended. Its bytes are
-- counted when its key is made and discounted when that is deleted, nowhere else and each time by
-- what the key itself says: so `bytes` is always the sum over the keys that are there. They do not
-- expire; those that outlive their jobs, which Redis may have lost, are swept when they are due.
local function count_bytes(client, bytes)
  redis.call('HINCRBY', keys.client(client), 'bytes', bytes)
  redis.call('HINCRBY', keys.totals, 'bytes', bytes)
end

-- An attachment's bytes are stored once per content, in the hash `blob:<SHA-256>`: `data`, and a
-- field for each request that has it. A request holds its blobs exactly as long as it is stored
-- itself, and counts their bytes as its own, whoever else holds them. `blobs` scores each by the
-- instant at which its last holder is due: what an earlier version forgets to drop is swept then.
local function forget_blob(digest)
  redis.call('DEL', keys.blob(digest))
  redis.call('ZREM', keys.blobs, digest)
end

-- `blobs` maps digests to bytes, which are empty for a blob that is there.
local function hold_blobs(first, blobs, due)
  local held = {}
  for digest, data in pairs(blobs) do
    if data ~= '' then redis.call('HSETNX', keys.blob(digest), 'data', data) end
    redis.call('HSET', keys.blob(digest), 'of ' .. first, 1)
    redis.call('ZADD', keys.blobs, 'GT', due, digest)
    held[#held + 1] = digest
  end
  if #held > 0 then redis.call('HSET', payload_key(first), 'blobs', table.concat(held, ' ')) end
end

local function drop_blobs(first, held)
  for digest in string.gmatch(held, '%S+') do
    redis.call('HDEL', keys.blob(digest), 'of ' .. first)
    -- Nothing is left but the bytes.
    if redis.call('HLEN', keys.blob(digest)) <= 1 then forget_blob(digest) end
  end
end

local function store_payload(first, ids, choices, client, payload, bytes, blobs, due)
  local key, fields = payload_key(first), {}
  for i, id in ipairs(ids) do fields[2 * i - 1], fields[2 * i] = 'of ' .. id, 1 end
  if redis.call('HEXISTS', key, 'job') == 1 then return redis.call('HSET', key, unpack(fields)) end
  redis.call('HSET', key, 'job', payload, 'client', client, 'bytes', bytes, 'choices', choices, unpack(fields))
  redis.call('ZADD', keys.payloads, due, first_of(first))
  hold_blobs(first, blobs, due)
  count_bytes(client, bytes)
end

local function forget_payload(first)
  local key = payload_key(first)
  local client, bytes, held = unpack(redis.call('HMGET', key, 'client', 'bytes', 'blobs'))
  if client then count_bytes(client, -bytes) end
  if held then drop_blobs(first, held) end
  redis.call('DEL', key)
  redis.call('ZREM', keys.payloads, first)
end

-- The request of a job; one of the version before has it in its entry.
local function payload_of(id, entry) return entry or redis.call('HGET', payload_key(id), 'job') or '' end

-- This choice needs the request no longer. Beside the choices that do, its key has four fields, and
-- one more if it holds blobs.
local function drop_payload(id)
  local key, field = payload_key(id), 'of ' .. id
  if redis.call('HEXISTS', key, field) == 0 then return end
  if redis.call('HLEN', key) == 5 + redis.call('HEXISTS', key, 'blobs') then return forget_payload(first_of(id)) end
  redis.call('HDEL', key, field)
end

-- An answer that is kept has a hash beside its log: `client`, what it takes to render it (`head`, `input`,
-- `previous`), `life`, the most bytes that may be kept (`most`, `most_in_all`), and `background`. Once the
-- answer has ended, the hash and the log count as `bytes`, which is written into the hash when it is added to
-- the sums, and taken off by what it says there. `keeps`, and each client's part of it, scores these
-- answers by the instant until which they are kept. The oldest are the first to go.
local function count_kept(client, bytes)
  redis.call('HINCRBY', keys.client(client), 'kept', bytes)
  redis.call('HINCRBY', keys.totals, 'kept', bytes)
end

-- Forgets a kept answer. For a day it is known why: `expired`, `room` or `deleted`. Its log stays for those who
-- read it now, unless the client wants it deleted.
local function discard(id, why)
  local key = keys.kept(id)
  local client, bytes = unpack(redis.call('HMGET', key, 'client', 'bytes'))
  redis.call('ZREM', keys.keeps, id)
  if not client then return 0 end
  redis.call('DEL', key)
  redis.call('HSET', key, 'was', client, 'gone', why)
  redis.call('PEXPIRE', key, SPARE)
  if not bytes then return 0 end
  count_kept(client, -bytes)
  redis.call('ZREM', keys.keeps_of(client), id)
  local left = why == 'deleted' and 0 or math.max(redis.call('PTTL', keys.job(id)), 0)
  redis.call('PEXPIRE', keys.log(id), left)
  return tonumber(bytes)
end

-- Discards the oldest of these answers until their sum, which `holder` has, is at most `most`.
local function shrink(index, holder, most)
  for _ = 1, 100 do
    if (tonumber(redis.call('HGET', holder, 'kept')) or 0) <= most then return end
    local oldest = redis.call('ZRANGE', index, 0, 0)[1]
    if not oldest then return end
    discard(oldest, 'room')
  end
end

local function shrink_all(client, most, most_in_all)
  shrink(keys.keeps_of(client), keys.client(client), tonumber(most))
  shrink(keys.keeps, keys.totals, tonumber(most_in_all))
end

-- The answer has ended: keep it from now on, if it is to be kept, and if there is any. Returns for how many ms.
local function keep_answer(id)
  local key = keys.kept(id)
  local client, life, most, most_in_all = unpack(redis.call('HMGET', key, 'client', 'life', 'most', 'most_in_all'))
  if not client then return 0 end
  if redis.call('EXISTS', keys.log(id)) == 0 then
    redis.call('DEL', key)
    return 0
  end
  -- All fields are looked at: one of a few is the largest by far.
  local bytes = redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0) + redis.call('MEMORY', 'USAGE', keys.log(id))
  local due = wall() + life
  redis.call('HSET', key, 'bytes', bytes)
  redis.call('PERSIST', key)
  redis.call('ZADD', keys.keeps, due, id)
  redis.call('ZADD', keys.keeps_of(client), due, id)
  count_kept(client, bytes)
  if bytes > tonumber(most) then return discard(id, 'room') * 0 end
  shrink_all(client, most, most_in_all)
  return tonumber(life)
end

-- The job's `gateway` names those who follow it, with spaces between: one, unless it may be resumed.
local function frame(frames, gateways, record)
  for gateway in string.gmatch(gateways, '%S+') do
    frames[gateway] = frames[gateway] or {}
    table.insert(frames[gateway], record)
  end
end

-- One frame to each gateway: a msgpack array of records.
local function publish(frames)
  for gateway, records in pairs(frames) do
    redis.call('PUBLISH', keys.events(gateway),
      '\220' .. struct.pack('>H', #records) .. table.concat(records))
  end
end

local function leave_stream(client, ring_score)
  redis.call('HINCRBY', keys.client(client), 'gone', 1)
  redis.call('HINCRBY', keys.totals, 'waiting', -1)
  if redis.call('HINCRBY', keys.client(client), 'waiting', -1) == 0 then
    redis.call('ZREM', keys.ring, client)
  elseif ring_score then
    redis.call('ZADD', keys.ring, ring_score, client)
  end
end

-- A client's line for a model: its jobs that wait outside its stream, since a worker has handed them
-- back or no free key could serve them, in the order in which they came. The lane of a model scores
-- the clients with such a line by their turn, as the ring does those with a stream. All such jobs
-- are in `again` too: at the instant at which they may join their line, then at their deadline.
-- When the client's next job starts, in virtual time.
local function turn_of(client)
  local left_at = tonumber(redis.call('HGET', keys.client(client), 'turn')) or 0
  local virtual = tonumber(redis.call('HGET', keys.totals, 'virtual')) or 0
  return tonumber(redis.call('ZSCORE', keys.ring, client)) or math.max(virtual, left_at)
end

local function set_turn(client, turn)
  local exact = string.format('%.17g', turn)
  redis.call('HSET', keys.client(client), 'turn', exact)
  redis.call('ZADD', keys.ring, 'XX', exact, client)
  for _, model in ipairs(redis.call('SMEMBERS', keys.lanes)) do
    redis.call('ZADD', keys.lane(model), 'XX', exact, client)
  end
end

local function join_line(id, client)
  local model, seq, deadline = unpack(redis.call('HMGET', keys.job(id), 'model', 'seq', 'deadline'))
  model = model or ''
  redis.call('HSET', keys.job(id), 'line', model)
  redis.call('ZADD', keys.line(client, model), seq, id)
  redis.call('ZADD', keys.lane(model), 'NX', string.format('%.17g', turn_of(client)), client)
  redis.call('SADD', keys.lanes, model)
  redis.call('ZADD', keys.again, deadline, id)
end

-- The job waits outside its client's stream no longer; `model` is given of one in a line that may
-- have been forgotten.
local function leave_again(id, client, model)
  model = model or redis.call('HGET', keys.job(id), 'line')
  redis.call('ZREM', keys.again, id)
  redis.call('HINCRBY', keys.client(client), 'aside', -1)
  if not model then return end
  redis.call('HDEL', keys.job(id), 'line')
  redis.call('ZREM', keys.line(client, model), id)
  if redis.call('EXISTS', keys.line(client, model)) == 1 then return end
  redis.call('ZREM', keys.lane(model), client)
  if redis.call('EXISTS', keys.lane(model)) == 0 then redis.call('SREM', keys.lanes, model) end
end

-- Whether a name is in a list with commas.
local function is_among(name, list)
  return string.find(',' .. list .. ',', ',' .. name .. ',', 1, true) ~= nil
end

local function ring_bell()
  if redis.call('LPUSH', keys.bell, 1) > 1000 then redis.call('LTRIM', keys.bell, 0, 999) end
end

-- The client's job does not start after all. The client saves up no turn: it starts no sooner than one that
-- comes now.
local function give_turn_back(client)
  local weight = tonumber(redis.call('HGET', keys.client(client), 'weight')) or 1
  local virtual = tonumber(redis.call('HGET', keys.totals, 'virtual')) or 0
  set_turn(client, math.max(virtual, turn_of(client) - 1 / weight))
end

-- Returns a job without output to its client's line, after `delay` ms. Its client gets its turn back.
local function put_back(id, client, now, delay)
  local tally = keys.client(client)
  give_turn_back(client)
  redis.call('HINCRBY', tally, 'running', -1)
  redis.call('HINCRBY', tally, 'aside', 1)
  redis.call('HINCRBY', keys.job(id), 'epoch', 1)
  redis.call('HSET', keys.job(id), 'state', 'again', 'owner', '')
  if delay > 0 then redis.call('ZADD', keys.again, now + delay, id) else join_line(id, client) end
  ring_bell()
end

-- Whether Poe may have charged for a call of this job: see note_call.lua and `runs_again`.
local function may_have_cost(id)
  local call, tried = unpack(redis.call('HMGET', keys.job(id), 'call', 'tried'))
  local had = ',' .. (tried or '') .. ','
  return call == 'sent' or call == 'answered' or string.find(had, ',unheard,', 1, true)
    or string.find(had, ',corrected,', 1, true)
end

-- Whether a choice of this job's request may have cost something: what was paid for would be lost with it.
local function request_may_have_cost(id)
  local first, choices = first_of(id), tonumber(redis.call('HGET', payload_key(id), 'choices')) or 1
  for number = 1, choices do
    if may_have_cost(choice_of(first, number)) then return true end
  end
  return false
end

-- Whether a job has waited too long. None has whose request may have cost something.
local function is_overdue(id, deadline, now)
  if tonumber(deadline) > now then return false end
  if not request_may_have_cost(id) then return true end
  redis.call('HSET', keys.job(id), 'deadline', now + SPARE)
  return false
end

-- Budgets. A job has the `budgets` in which it counts, if there are any: the msgpack of a list of {counter, limit,
-- ms at which it renews or 0, 'key' or 'group', name, period, what it is called}; see contract/budgets.py. The
-- hash `budget:<counter>` has what is `spent` and what is `reserved` of it.
--
-- A dispatch reserves the job's estimate, once, and those of the request's other choices with it: the job's field
-- `reserved` says of what, and `reservations` has the same. The job's end gives it back, and adds to `spent` what
-- the job has cost. So whoever dies, what is reserved is reserved for jobs that have not ended;
-- `gateway_heartbeat` looks whether one was forgotten.
--
-- A job waits while others reserve what it needs. Such jobs are in `again`, and in `short:<counter>` by when they
-- came; the first of them look anew when something is given back. Those that come later and need less may
-- overtake the first of them, which else would hold them all up. From `FIRST_FROM` to `FIRST_UNTIL` of its wait they
-- may not: it would starve.
local LOOK_EVERY, WOKEN, FIRST_FROM, FIRST_UNTIL, BUDGET_SPARE = 60000, 4, 5000, 20000, 7 * SPARE

local function points_of(counter)
  local spent, reserved = unpack(redis.call('HMGET', keys.budget(counter), 'spent', 'reserved'))
  return tonumber(spent) or 0, tonumber(reserved) or 0
end

-- Notes what a counter counts, for those who look at it and for jobs that have been asked before: they go by the
-- limit that was told last. It outlives its period, for late corrections.
local function describe_budget(budget, now)
  local counter, limit, renews, kind, name, period = unpack(budget)
  local key = keys.budget(counter)
  local had, called = unpack(redis.call('HMGET', key, 'limit', 'name'))
  if tonumber(had) == limit and called == name then return end -- nearly always
  redis.call('HSET', key, 'limit', limit, 'kind', kind, 'name', name, 'period', period)
  if renews > 0 then
    redis.call('HSET', key, 'renews', renews)
    keep(key, math.max(renews - now, 0) + BUDGET_SPARE)
  end
end

-- The same, for a job that has been asked before: where the counter is described, that is as new or newer.
local function describe_again(budget, now)
  if redis.call('HEXISTS', keys.budget(budget[1]), 'limit') == 0 then describe_budget(budget, now) end
end

local function limit_of(budget) return tonumber(redis.call('HGET', keys.budget(budget[1]), 'limit')) or budget[2] end

-- Whether a job that came later than another one has to leave it what is left of a budget.
local function is_behind(counter, id, at, now)
  while true do
    local first, since = unpack(redis.call('ZRANGE', keys.short(counter), 0, 0, 'WITHSCORES'))
    if not first or first == id then return false end
    if redis.call('HGET', keys.job(first), 'state') == 'again' then
      return tonumber(since) < at and now >= since + FIRST_FROM and now < since + FIRST_UNTIL
    end
    redis.call('ZREM', keys.short(counter), first)
  end
end

-- Whether a job that came at `at` can have so many points of these budgets: 'yes', 'later', once less is reserved,
-- or 'never'; and of which it cannot, and what is left of that. What costs nothing always can. `own` of the points
-- are reserved for it already.
local function room_in_budgets(id, budgets, points, at, now, own)
  local verdict, which, left = 'yes', nil, nil
  for _, budget in ipairs(points > 0 and budgets or {}) do
    local spent, reserved = points_of(budget[1])
    local limit = limit_of(budget)
    reserved = reserved - (own or 0)
    if spent + points > limit then return 'never', budget, math.max(limit - spent, 0) end
    if spent + reserved + points > limit or is_behind(budget[1], id, at, now) then
      if verdict == 'yes' then which, left = budget, math.max(limit - spent - reserved, 0) end
      verdict = 'later'
    end
  end
  return verdict, which, left
end

local function reserve(id, budgets, points, now)
  local counters = {}
  for _, budget in ipairs(budgets) do
    describe_again(budget, now)
    redis.call('HINCRBY', keys.budget(budget[1]), 'reserved', points)
    redis.call('ZREM', keys.short(budget[1]), id)
    counters[#counters + 1] = budget[1]
  end
  local reserved = cmsgpack.pack({ id, points, counters })
  redis.call('HSET', keys.job(id), 'reserved', reserved)
  redis.call('ZADD', keys.reservations, now + LOOK_EVERY, reserved)
end

local function give_back(reserved, now)
  local _, points, counters = unpack(cmsgpack.unpack(reserved))
  redis.call('ZREM', keys.reservations, reserved)
  for _, counter in ipairs(counters) do
    -- It may have been deleted meanwhile, with its key, and have begun anew.
    local _, all = points_of(counter)
    if all > 0 then redis.call('HINCRBY', keys.budget(counter), 'reserved', 0 - math.min(points, all)) end -- never "-0"
    for _, id in ipairs(redis.call('ZRANGE', keys.short(counter), 0, WOKEN - 1)) do
      redis.call('ZADD', keys.again, 'XX', now, id)
      ring_bell()
    end
  end
end

local function wait_no_longer(id, budgets)
  for _, budget in ipairs(budgets) do redis.call('ZREM', keys.short(budget[1]), id) end
end

-- The job waits until less of this one of its budgets is reserved; it looks by itself, too, ever less often.
local function wait_for_points(id, budgets, budget, at, now)
  wait_no_longer(id, budgets)
  redis.call('ZADD', keys.short(budget[1]), at, id)
  keep(keys.short(budget[1]), SPARE)
  redis.call('ZADD', keys.again, now + math.max(250, math.min((now - at) / 8, 4000)), id)
end

-- The events that refuse a job because of a budget, by `words` with places for what differs.
local function short_of_points(words, budget, points, left)
  local values = { estimate = string.format('%.0f', points), left = string.format('%.0f', left), budget = budget[7] }
  return cmsgpack.pack({ { 'failed', 'no_points', (string.gsub(words, '{(%w+)}', values)) } })
end

local function settle_budgets(id, budgets, reserved, points, now)
  if reserved then give_back(reserved, now) end
  wait_no_longer(id, budgets)
  for _, budget in ipairs(budgets) do
    if points > 0 then
      describe_again(budget, now)
      redis.call('HINCRBY', keys.budget(budget[1]), 'spent', points)
      tell_budget(keys.budget(budget[1]), budget[1], now)
    end
  end
end

-- What an answer that may be resumed is found by: an idempotency key, which its client has given it, or
-- what was asked. Equal requests without a key share a name, `tries <client>:<hash>`. Under it, `tries`
-- has each that has not ended, by its first choice, `ended` the one that ended last, and `refused`
-- counts those that were told an error which cost nothing: who sends these again wants no other's answer.
local REFUSED_LIFE = 120000
local function named(name)
  local asked = string.match(name, '^tries (.+)$')
  return asked and keys.tries(asked) or keys.idem(name)
end

local function is_given(idem) return string.find(idem, keys.idem(''), 1, true) == 1 end
local function name_in(tries) return string.sub(tries, #keys.tries('') + 1) end

local function count_refusal(name)
  redis.call('INCR', keys.refused(name))
  redis.call('PEXPIRE', keys.refused(name), REFUSED_LIFE)
end

-- One that is kept for a client which left before its end gives way to no other.
local function note_end(name, id, hold, is_read)
  local ended = keys.ended(name)
  if is_read and redis.call('HGET', ended, 'read') == '0' then return end
  redis.call('HSET', ended, 'job', first_of(id), 'at', redis.call('HGET', keys.job(id), 'at'), 'read', is_read and 1 or 0)
  redis.call('PEXPIRE', ended, hold)
end

-- Whether this is still what a job is found by: the first of its choices, whose name the others'
-- follow from. It has been forgotten, or is another answer's by now, where it is not.
local function leads_to(idem, id)
  if is_given(idem) then return redis.call('HGET', idem, 'job') == first_of(id) end
  return redis.call('HEXISTS', idem, first_of(id)) == 1
end

local function forget(idem, id)
  if is_given(idem) then redis.call('DEL', idem) else redis.call('HDEL', idem, first_of(id)) end
end

-- A choice of a request without an idempotency key has ended.
local function end_try(tries, id, hold, void, is_read)
  if not void and redis.call('EXISTS', payload_key(id)) == 1 then return end -- other choices have not
  if void then redis.call('HDEL', keys.job(id), 'keep') end
  if redis.call('HDEL', tries, first_of(id)) == 0 then return end
  if not void then note_end(name_in(tries), id, hold, is_read)
  elseif is_read then count_refusal(name_in(tries)) end
end

-- Whether another choice of the same request may have cost something, by its `call`; `done`: one that
-- has ended. Who comes back with their key must then not pay for it again.
local function others_cost(id, done)
  local first, choice = string.match(id, '^[^-]+'), 0
  while true do
    local other = choice == 0 and first or first .. '-' .. choice
    local state, call = unpack(redis.call('HMGET', keys.job(other), 'state', 'call'))
    if not state then return false end
    if other ~= id and (call or '') ~= '' and (state == 'done' or not done) then return true end
    choice = choice + 1
  end
end

-- A job that may be resumed keeps a set of its readers, "<gateway> <request>". Of these, add or
-- remove some, and return how many are left.
local function readers(id, gateway, added, removed)
  local key, job, named, names = keys.readers(id), keys.job(id), {}, {}
  if added then redis.call('SADD', key, added) end
  if removed then redis.call('SREM', key, removed) end
  local left = redis.call('SMEMBERS', key)
  for _, reader in ipairs(left) do
    local name = string.match(reader, '^%S+')
    if not named[name] then named[name], names[#names + 1] = true, name end
  end
  redis.call(named[gateway] and 'SADD' or 'SREM', keys.served(gateway), id)
  redis.call('HSET', job, 'gateway', table.concat(names, ' '))
  redis.call('PEXPIRE', key, math.max(redis.call('PTTL', job), 1))
  return #left
end

-- Removes a consumer with nothing pending from its group: every start of a worker adds a new one.
local function retire(jobs, consumer)
  if #redis.call('XPENDING', jobs, 'workers', '-', '+', 1, consumer) == 0 then
    redis.call('XGROUP', 'DELCONSUMER', jobs, 'workers', consumer)
  end
end

-- Takes an entry off the consumer that has it, for `heir` if there is one. Returns it for an heir.
local function take_over(jobs, entry, heir)
  local pending = redis.pcall('XPENDING', jobs, 'workers', entry, entry, 1)
  local had = not pending.err and pending[1] and pending[1][2]
  local found = heir and redis.call('XCLAIM', jobs, 'workers', heir, 0, entry)
  if not heir then redis.call('XACK', jobs, 'workers', entry) end
  if had and had ~= heir then retire(jobs, had) end
  return found
end

-- What a job may have cost that no worker can tell of: each call that Poe may have run counts as the estimate.
local function presumed_cost(call, tried)
  local had, calls = ',' .. (tried or '') .. ',', (call == 'sent' or call == 'answered') and 1 or 0
  for _, mark in ipairs({ ',unheard,', ',corrected,', ',retried,' }) do
    if string.find(had, mark, 1, true) then calls = calls + 1 end
  end
  return { calls, calls }
end

-- Settles what a job that ends has cost, and writes it into the ledger; see contract/ledger.py. `cost` is a
-- `Cost`, if its worker knows it.
local function settle_job(id, outcome, cost)
  local client, name, group, model, label, at, dispatched, estimate, budgets, reserved, bot, sent, call, tried =
    unpack(redis.call('HMGET', keys.job(id), 'client', 'name', 'group', 'asked', 'label', 'at', 'dispatched',
      'estimate', 'budgets', 'reserved', 'model', 'sent', 'call', 'tried'))
  local now = clock(ARGV[1])
  at, estimate = tonumber(at) or now, tonumber(estimate) or 0
  cost = cost or presumed_cost(call, tried)
  local calls, unpriced = cost[1] or 0, cost[2] or 0
  local basis = calls == 0 and 'free' or unpriced > 0 and 'estimate' or cost[4] or 'usage'
  local points, counters = (cost[3] or 0) + unpriced * estimate, {}
  if budgets then
    budgets = cmsgpack.unpack(budgets)
    for i, budget in ipairs(budgets) do counters[i] = budget[1] end
    settle_budgets(id, budgets, reserved, points, now)
  end
  redis.call('XADD', keys.ledger, '*', 'r', cmsgpack.pack({
    'request', id, client, name or '', group or '', model or '', label or '', outcome, at,
    math.max((tonumber(dispatched) or now) - at, 0), math.max(now - at, 0), cost[5] or 0, cost[6] or 0, cost[7] or 0,
    estimate, points, basis, calls, counters, bot or '', tonumber(sent) or 0 }))
end

-- Ends a job in whatever state it is; what was logged stays readable for `life` ms, or as long as
-- its client may come back for it. `void`: it has cost nothing, so whoever comes back begins anew. The ledger
-- has `outcome` and `cost`.
local function finish(id, life, void, outcome, cost)
  local key = keys.job(id)
  local client, entry, state, owner, gateways, idem, keep, is_kept =
    unpack(redis.call('HMGET', key, 'client', 'entry', 'state', 'owner', 'gateway', 'idem', 'keep', 'kept'))
  if not client or state == 'done' then return end
  settle_job(id, outcome, cost)
  if state == 'queued' then leave_stream(client) end
  if state == 'again' then leave_again(id, client) end
  if state == 'running' then
    redis.call('SREM', keys.owned(owner), id)
    redis.call('HINCRBY', keys.client(client), 'running', -1)
  end
  for gateway in string.gmatch(gateways, '%S+') do redis.call('SREM', keys.served(gateway), id) end
  local is_read = idem and redis.call('EXISTS', keys.readers(id)) == 1
  if idem then
    if void then redis.call('HDEL', key, 'call') end
    local anew = void and not others_cost(id)
    if is_given(idem) and leads_to(idem, id) then redis.call('PEXPIRE', idem, anew and 0 or keep) end
  end
  if keep then
    -- Those who read it now may be slow.
    life = math.max(life, keep)
    redis.call('DEL', keys.readers(id))
    redis.call('ZREM', keys.abandoned, id)
  end
  redis.call('HINCRBY', keys.client(client), 'open', -1)
  take_over(keys.jobs(client), entry)
  redis.call('XDEL', keys.jobs(client), entry)
  drop_payload(id)
  if idem and not is_given(idem) then end_try(idem, id, keep, void, is_read) end
  redis.call('HSET', key, 'state', 'done')
  redis.call('PEXPIRE', key, life)
  redis.call('PEXPIRE', keys.log(id), life)
  local longer = is_kept and keep_answer(id) or 0
  if longer > tonumber(life) then redis.call('PEXPIRE', keys.log(id), longer) end
end

-- Readers of a job that may be resumed have left: one, or, without `reader`, all of a gateway. When
-- nobody is left, the job goes on for its grace. False where nobody can come back.
local function abandon(id, gateway, now, reader)
  local grace = redis.call('HGET', keys.job(id), 'grace')
  if not grace then return false end
  for _, other in ipairs(reader and {} or redis.call('SMEMBERS', keys.readers(id))) do
    if string.match(other, '^%S+') == gateway then readers(id, gateway, nil, other) end
  end
  if readers(id, gateway, nil, reader) == 0 then redis.call('ZADD', keys.abandoned, now + grace, id) end
  return true
end

-- Nobody is left to read a job's answer. A job that no worker has ends at once; a worker that has it
-- is told so, here and by its next append.
local function cancel(id, life)
  local state, owner, idem = unpack(redis.call('HMGET', keys.job(id), 'state', 'owner', 'idem'))
  if not state then
    -- It may be on its way still, in an enqueue that its gateway gave up: let it find itself ended.
    redis.call('HSET', keys.job(id), 'state', 'done', 'seq', 0)
    redis.call('PEXPIRE', keys.job(id), life)
  end
  if not state or state == 'done' then return 'gone' end
  if state ~= 'running' then
    finish(id, life, true, 'cancelled')
    return 'dropped'
  end
  if idem and leads_to(idem, id) and not others_cost(id, true) then forget(idem, id) end
  redis.call('HSET', keys.job(id), 'cancelled', 1)
  redis.call('PUBLISH', keys.control(owner), id)
  return 'told'
end

-- Whether a job may be asked of Poe again whose worker cannot say how far it came: by its `call`, it
-- was not sent (''), 'sent', or 'answered'. One that was sent may have been run: without an
-- idempotency key it is asked once more, in all, as worker/policy/retry.py has it.
local function runs_again(id)
  local key = keys.job(id)
  local call, idem, tried = unpack(redis.call('HMGET', key, 'call', 'idem', 'tried'))
  if not call or call == '' then return true end
  local had = ',' .. (tried or '') .. ','
  if call == 'answered' or (idem and is_given(idem)) or string.find(had, ',unheard,', 1, true) then return false end
  redis.call('HSET', key, 'tried', (tried and tried ~= '') and tried .. ',unheard' or 'unheard')
  return true
end

-- Ends a job with events of our own, under an epoch that fences every earlier worker.
local function fail(id, events, life, void)
  local epoch = redis.call('HINCRBY', keys.job(id), 'epoch', 1)
  local record = '\148\217' .. string.char(#id) .. id .. '\206' .. struct.pack('>I4', epoch) .. '\1' .. events
  redis.call('XADD', keys.log(id), epoch .. '-1', 'r', record)
  local frames = {}
  frame(frames, redis.call('HGET', keys.job(id), 'gateway'), record)
  publish(frames)
  local all = cmsgpack.unpack(events)
  local last = all[#all]
  finish(id, life, void, last[1] == 'failed' and last[2] or 'finished')
end

-- Ends a job that was cancelled and that its worker has not ended: it has died, or hands the job back. Whoever
-- reads the answer or may come for it is told so: by `ending`, with which it was cancelled, else by `events`.
local function end_cancelled(id, events, life)
  local ending, is_kept = unpack(redis.call('HMGET', keys.job(id), 'ending', 'kept'))
  if ending or is_kept or redis.call('EXISTS', keys.readers(id)) == 1 then
    fail(id, ending or events, life)
  else
    finish(id, life, false, 'cancelled')
  end
end
