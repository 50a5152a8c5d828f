-- dispatch: give a worker up to n jobs, in fair order, that its free tokens can serve.
--
-- This is start-time fair queueing. The ring scores each client that waits with the virtual time at
-- which its next job starts. The client with the lowest score goes first. Its score becomes the virtual
-- time and then rises by 1/weight, so a client that floods the queue only overtakes itself.
--
-- The worker says for how many jobs of a model its free tokens have room, where that is not for all. A
-- job without room leaves its stream, once, for its client's line for that model. There it waits for a
-- token that can serve it, while the jobs behind it go on. Lines compete with streams by the turns of
-- their clients. A line that fell behind while no token was free for it starts from now, so it does
-- not catch up at others' cost. Each job costs O(log clients), times the models with a line.
--
-- A reply ends with the request that fills it: Redis serves nobody else while it copies them, and the
-- worker reads nothing else while they arrive.
--
-- A job that counts in budgets reserves its points here. It waits, outside its stream, while others reserve
-- them, and ends where what is spent leaves too little.
--
-- ARGV: now, worker, n, life ms of a finished job, events of a job that waited too long, words for one
--       whose budget is spent, then pairs: model, jobs of it for which there is room
-- Returns a list of {payload, epoch, attempt, ms waited, tokens tried, failures of the upstream,
-- 1 if it has an idempotency key, job}.
local LOOKS, MOVES, MOST_BYTES = 4, 100, 16 * 1024 * 1024
local now, worker, n = clock(ARGV[1]), ARGV[2], tonumber(ARGV[3])
local taken, room, moved, bytes = {}, {}, 0, 0
for i = 7, #ARGV, 2 do room[ARGV[i]] = tonumber(ARGV[i + 1]) end

local function read(id, entry)
  local payload = payload_of(id, entry)
  bytes = bytes + #payload
  return payload
end

-- The model is the third string of a payload, a msgpack array.
local function model_of(payload)
  local head, at, word = string.byte(payload, 1) or 0, 2, ''
  if head == 0xdc then at = 4 elseif head < 0x90 or head > 0x9f then return '' end
  for _ = 1, 3 do
    local kind, size = string.byte(payload, at), 0
    if not kind then return ''
    elseif kind >= 0xa0 and kind <= 0xbf then at, size = at + 1, kind - 0xa0
    elseif kind == 0xd9 then at, size = at + 2, string.byte(payload, at + 1)
    else return '' end -- no model has a name that long
    word, at = string.sub(payload, at, at + size - 1), at + size
  end
  return word
end

-- The choices of a job's request for which nothing is reserved, and that have not ended. Where some may start
-- and others may not, their request would be paid for in part.
local function unreserved(id)
  local first, choices, found = first_of(id), tonumber(redis.call('HGET', payload_key(id), 'choices')) or 1, {}
  for number = 1, choices do
    local choice = choice_of(first, number)
    local state, budgets, reserved = unpack(redis.call('HMGET', keys.job(choice), 'state', 'budgets', 'reserved'))
    if state and state ~= 'done' and budgets and not reserved then found[#found + 1] = choice end
  end
  return found
end

-- Whether a job may start as far as its budgets go: `room_in_budgets`; and then its budgets, its points and its
-- choices. What may have been paid for in part always may.
local function in_budgets(id, packed, at)
  local budgets, points = cmsgpack.unpack(packed), tonumber(redis.call('HGET', keys.job(id), 'estimate')) or 0
  local choices = unreserved(id)
  local verdict, which, left = room_in_budgets(id, budgets, points * #choices, tonumber(at), now)
  if verdict ~= 'yes' and request_may_have_cost(id) then verdict = 'yes' end
  return verdict, which, left, budgets, points, choices
end

-- Ends a job for which a budget does not suffice. There may be many of them.
local function refuse(id, budget, points, left)
  moved = moved + 1
  tell_budget(keys.budget(budget[1]), budget[1], now, true)
  return fail(id, short_of_points(ARGV[6], budget, points, left), ARGV[4], true)
end

-- It is another client's turn, until less of this budget is reserved.
local function set_aside(id, client, budgets, budget, at)
  redis.call('HSET', keys.job(id), 'state', 'again')
  redis.call('HINCRBY', keys.client(client), 'aside', 1)
  redis.call('HINCRBY', keys.totals, 'dispatched', -1)
  give_turn_back(client)
  wait_for_points(id, budgets, budget, tonumber(at), now)
  moved = moved + 1
end

local function take(client, entry, id, payload)
  local key, jobs = keys.job(id), keys.jobs(client)
  local at, deadline, tried, failures, idem, packed, reserved, epoch, attempt = unpack(redis.call('HMGET', key, 'at',
    'deadline', 'tried', 'failures', 'idem', 'budgets', 'reserved', 'epoch', 'attempt'))
  if not at then -- forgotten: its own life ended in the queue
    redis.call('HINCRBY', keys.client(client), 'open', -1)
    take_over(jobs, entry)
    drop_payload(id)
    return redis.call('XDEL', jobs, entry)
  end
  -- It has left its stream, or its line, whatever becomes of it.
  if is_overdue(id, deadline, now) then
    redis.call('HSET', key, 'state', 'taken')
    return fail(id, ARGV[5], ARGV[4], true)
  end
  local model = model_of(payload)
  if packed and not reserved then
    local verdict, which, left, budgets, points, choices = in_budgets(id, packed, at)
    redis.call('HSET', key, 'state', 'taken', 'model', model)
    if verdict == 'never' then return refuse(id, which, points * #choices, left) end
    if verdict == 'later' then return set_aside(id, client, budgets, which, at) end
    for _, choice in ipairs(choices) do
      reserve(choice, budgets, points, now)
      if choice ~= id and redis.call('ZADD', keys.again, 'XX', 'CH', now, choice) == 1 then moved = moved + 1 end
    end
  end
  epoch, attempt = (tonumber(epoch) or 0) + 1, (tonumber(attempt) or 0) + 1
  redis.call('HSET', key, 'state', 'running', 'owner', worker, 'model', model, 'dispatched', now,
    'epoch', epoch, 'attempt', attempt)
  redis.call('HINCRBY', keys.client(client), 'running', 1)
  redis.call('SADD', keys.owned(worker), id)
  taken[#taken + 1] = { payload, epoch, attempt, now - tonumber(at), tried or '', tonumber(failures) or 0,
    idem and is_given(idem) and 1 or 0, id }
  if room[model] then room[model] = room[model] - 1 end
end

-- Moves the client on, and returns its next turn.
local function charge(client, turn)
  local start = math.max(turn, tonumber(redis.call('HGET', keys.totals, 'virtual')) or 0)
  local next_turn = start + 1 / (tonumber(redis.call('HGET', keys.client(client), 'weight')) or 1)
  redis.call('HSET', keys.totals, 'virtual', string.format('%.17g', start))
  redis.call('HINCRBY', keys.totals, 'dispatched', 1)
  set_turn(client, next_turn)
  return string.format('%.17g', next_turn)
end

-- The job in this client's line that is next; one that this worker, among others, has left to the
-- rest is theirs for two seconds.
local function first_in(client, model)
  local line = redis.call('ZRANGE', keys.line(client, model), 0, LOOKS - 1, 'WITHSCORES')
  for i = 1, #line, 2 do
    local by, since = unpack(redis.call('HMGET', keys.job(line[i]), 'by', 'since'))
    if not is_among(worker, by or '') or tonumber(since) + 2000 <= now then return line[i], tonumber(line[i + 1]) end
  end
end

local function first_of_lines()
  local best
  for _, model in ipairs(redis.call('SMEMBERS', keys.lanes)) do
    local lane = room[model] ~= 0 and redis.call('ZRANGE', keys.lane(model), 0, LOOKS - 1, 'WITHSCORES') or {}
    for i = 1, #lane, 2 do
      local turn, id, seq = tonumber(lane[i + 1]), first_in(lane[i], model)
      if id and (not best or turn < best.turn or (turn == best.turn and seq < best.seq)) then
        best = { id = id, client = lane[i], model = model, turn = turn, seq = seq }
      end
      if id then break end
    end
  end
  return best
end

local function take_from_line(job)
  local entry = redis.call('HGET', keys.job(job.id), 'entry')
  leave_again(job.id, job.client, job.model)
  local found = entry and take_over(keys.jobs(job.client), entry, worker) or {}
  charge(job.client, job.turn)
  if found[1] then take(job.client, entry, job.id, read(job.id, found[1][2][4])) end
end

-- The same as `charge` and `leave_stream`, in fewer writes: all but a few jobs pass here.
local function start_next(client, turn)
  local tally = keys.client(client)
  local weight, gone, waiting = unpack(redis.call('HMGET', tally, 'weight', 'gone', 'waiting'))
  local virtual, dispatched, in_all = unpack(redis.call('HMGET', keys.totals, 'virtual', 'dispatched', 'waiting'))
  local start, left = math.max(turn, tonumber(virtual) or 0), (tonumber(waiting) or 0) - 1
  local exact = string.format('%.17g', start + 1 / (tonumber(weight) or 1))
  redis.call('HSET', keys.totals, 'virtual', string.format('%.17g', start),
    'dispatched', (tonumber(dispatched) or 0) + 1, 'waiting', (tonumber(in_all) or 0) - 1)
  redis.call('HSET', tally, 'turn', exact, 'gone', (tonumber(gone) or 0) + 1, 'waiting', left)
  if left == 0 then redis.call('ZREM', keys.ring, client) else redis.call('ZADD', keys.ring, exact, client) end
  for _, model in ipairs(redis.call('SMEMBERS', keys.lanes)) do
    redis.call('ZADD', keys.lane(model), 'XX', exact, client)
  end
end

local function take_from_stream(client, turn)
  local got = redis.call('XREADGROUP', 'GROUP', 'workers', worker, 'COUNT', 1, 'STREAMS', keys.jobs(client), '>')
  if not got then
    redis.call('ZREM', keys.ring, client)
    return retire(keys.jobs(client), worker)
  end
  local entry, fields = unpack(got[1][2][1])
  local id = fields[2]
  local payload = read(id, fields[4])
  local model = model_of(payload)
  if room[model] == 0 and redis.call('EXISTS', keys.job(id)) == 1 then
    redis.call('HSET', keys.job(id), 'state', 'again', 'model', model)
    redis.call('HINCRBY', keys.client(client), 'aside', 1)
    join_line(id, client)
    leave_stream(client, turn)
    moved = moved + 1
  else
    start_next(client, tonumber(turn))
    take(client, entry, id, payload)
  end
end

-- A job that is due: it joins its line, unless what it needs is reserved still.
local function look_again(id, client, at, packed)
  local verdict, which, left, budgets, points, choices = 'yes'
  if packed then verdict, which, left, budgets, points, choices = in_budgets(id, packed, at) end
  if verdict == 'never' then return refuse(id, which, points * #choices, left) end
  if verdict == 'later' then return wait_for_points(id, budgets, which, tonumber(at), now) end
  wait_no_longer(id, budgets or {})
  join_line(id, client)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', keys.again, '-inf', now, 'LIMIT', 0, 50)) do
  local client, deadline, at, line, packed, reserved =
    unpack(redis.call('HMGET', keys.job(id), 'client', 'deadline', 'at', 'line', 'budgets', 'reserved'))
  if not client then redis.call('ZREM', keys.again, id)
  elseif is_overdue(id, deadline, now) then fail(id, ARGV[5], ARGV[4], true)
  else look_again(id, client, at, not line and not reserved and packed) end
end

while #taken < n and moved < MOVES and bytes < MOST_BYTES do
  local client, turn = unpack(redis.call('ZRANGE', keys.ring, 0, 0, 'WITHSCORES'))
  local waiting = first_of_lines()
  if waiting and (not client or waiting.turn <= tonumber(turn)) then take_from_line(waiting)
  elseif client then take_from_stream(client, turn)
  else break end
end
-- What was moved may be for others to take, and there may be more than one reply holds.
local full = bytes >= MOST_BYTES or moved >= MOVES
if moved > 0 or full then ring_bell() end
-- Nothing waits: the rings that are left over would only wake workers in vain.
if #taken < n and not full and redis.call('EXISTS', keys.again) == 0 then redis.call('DEL', keys.bell) end
return taken
