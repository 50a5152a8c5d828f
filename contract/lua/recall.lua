-- recall: the turns of a conversation, from a kept answer back to its first.
--
-- Each answer holds its own turn and the name of the one before it. Those that a new turn goes on from are
-- kept as if they had just ended: what is in use does not expire.
--
-- ARGV: now, job, client, most bytes of all turns, 1 if they are used again
-- Returns {'ok', '', then of each turn, the last one first: job, input, output ('' = not settled)}; or {'unknown',
-- job} where an answer is not there, is another client's or is gone, {'unended', job} or {'large', job}.
local MOST_TURNS = 5000
clock(ARGV[1])
local now, id, client, most = wall(), ARGV[2], ARGV[3], tonumber(ARGV[4])
local turns, used, size = { 'ok', '' }, {}, 0
while id ~= '' do
  local owner, input, output, previous, bytes, life =
    unpack(redis.call('HMGET', keys.kept(id), 'client', 'input', 'output', 'previous', 'bytes', 'life'))
  if owner ~= client then return { 'unknown', id } end
  if not bytes then return { 'unended', id } end
  output = output or ''
  size = size + #input + #output
  if size > most or #turns > 3 * MOST_TURNS then return { 'large', id } end
  for _, word in ipairs({ id, input, output }) do turns[#turns + 1] = word end
  used[id], id = life, previous
end
for each, life in pairs(ARGV[5] == '1' and used or {}) do
  redis.call('ZADD', keys.keeps, 'XX', 'GT', now + life, each)
  redis.call('ZADD', keys.keeps_of(client), 'XX', 'GT', now + life, each)
  keep(keys.log(each), tonumber(life))
end
return turns
