-- Shared by all scripts: the clock, the bytes of a record, and how a job ends.
--
-- Scripts build key names themselves, so one primary holds all keys. Times are milliseconds of
-- Redis's own clock; the first argument of each script is 0, or, in tests only, the time it is.
--
-- A client's hash counts its jobs: `open` until they end, `waiting` in its stream, `running` at a
-- worker; `seq` and `gone` are how many ever entered and left the stream, so seq - gone tells a
-- job's place in it.

local function clock(given)
  if tonumber(given) > 0 then return tonumber(given) end
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function job_key(id) return 'p2g:job:{' .. id .. '}' end
local function log_key(id) return 'p2g:log:{' .. id .. '}' end

-- One frame to each gateway that follows the job: a msgpack array of records.
local function publish(frames)
  for gateway, records in pairs(frames) do
    redis.call('PUBLISH', 'p2g:events:' .. gateway,
      '\220' .. struct.pack('>H', #records) .. table.concat(records))
  end
end

local function leave_stream(client, ring_score)
  redis.call('HINCRBY', 'p2g:client:' .. client, 'gone', 1)
  redis.call('HINCRBY', 'p2g:totals', 'waiting', -1)
  if redis.call('HINCRBY', 'p2g:client:' .. client, 'waiting', -1) == 0 then
    redis.call('ZREM', 'p2g:ring', client)
  elseif ring_score then
    redis.call('ZADD', 'p2g:ring', ring_score, client)
  end
end

-- Ends a job in whatever state it is; what was logged stays readable for `life` ms.
local function finish(id, life)
  local key = job_key(id)
  local client, entry, state, owner, gateway =
    unpack(redis.call('HMGET', key, 'client', 'entry', 'state', 'owner', 'gateway'))
  if not client or state == 'done' then return end
  if state == 'queued' then leave_stream(client) end
  if state == 'again' then redis.call('ZREM', 'p2g:again', id) end
  if state == 'running' then
    redis.call('SREM', 'p2g:owned:' .. owner, id)
    redis.call('HINCRBY', 'p2g:client:' .. client, 'running', -1)
  end
  redis.call('SREM', 'p2g:served:' .. gateway, id)
  redis.call('HINCRBY', 'p2g:client:' .. client, 'open', -1)
  redis.call('XACK', 'p2g:jobs:' .. client, 'workers', entry)
  redis.call('XDEL', 'p2g:jobs:' .. client, entry)
  redis.call('HSET', key, 'state', 'done')
  redis.call('PEXPIRE', key, life)
  redis.call('PEXPIRE', log_key(id), life)
end

-- Nobody is left to read a job's answer. One that no worker has is gone at once; a worker that has
-- it is told, here and by its next append.
local function cancel(id, life)
  local state, owner = unpack(redis.call('HMGET', job_key(id), 'state', 'owner'))
  if not state then
    -- It may be on its way still, in an enqueue that its gateway gave up: let it find itself ended.
    redis.call('HSET', job_key(id), 'state', 'done', 'seq', 0)
    redis.call('PEXPIRE', job_key(id), life)
  end
  if not state or state == 'done' then return 'gone' end
  if state ~= 'running' then
    finish(id, life)
    return 'dropped'
  end
  redis.call('HSET', job_key(id), 'cancelled', 1)
  redis.call('PUBLISH', 'p2g:control:' .. owner, id)
  return 'told'
end

-- Ends a job with events of our own, under an epoch that fences every earlier worker.
local function fail(id, events, life)
  local epoch = redis.call('HINCRBY', job_key(id), 'epoch', 1)
  local record = '\148\217' .. string.char(#id) .. id .. '\206' .. struct.pack('>I4', epoch) .. '\1' .. events
  redis.call('XADD', log_key(id), epoch .. '-1', 'r', record)
  publish({ [redis.call('HGET', job_key(id), 'gateway')] = { record } })
  finish(id, life)
end
