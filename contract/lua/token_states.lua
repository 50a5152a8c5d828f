-- token_states: what is known of tokens. Those of which nothing is known, which are most, are left out.
--
-- ARGV: now, tokens
-- Returns a list of {place among the tokens, ms for which it is parked, state, strikes, {model, ms for
-- which the token cannot use it, ...}}.
local now, known = clock(ARGV[1]), {}
for i = 2, #ARGV do
  local parked, state, strikes, held =
    unpack(redis.call('HMGET', keys.token(ARGV[i]), 'until', 'state', 'strikes', 'held'))
  local hold = held_for(held, now)
  if hold then parked, state = now + hold, 'held' end
  local unfit = redis.call('ZRANGE', keys.unfit(ARGV[i]), '(' .. now, '+inf', 'BYSCORE', 'WITHSCORES')
  for n = 2, #unfit, 2 do unfit[n] = unfit[n] - now end
  if parked or strikes or #unfit > 0 then
    local left = math.max((tonumber(parked) or 0) - now, 0)
    known[#known + 1] = { i - 1, left, state or '', tonumber(strikes) or 0, unfit }
  end
end
return known
