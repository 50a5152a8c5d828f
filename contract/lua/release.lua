-- release: a call has ended, or was never made; and what that says of its token.
--
-- ARGV: now, token, account, grant, 1 if the call was never sent, ms for which the account rests,
--       ms for which the token is parked (0 = as it is, -1 = well again), state and reason to note,
--       strikes, model that the token may not use (or ''), ms for which that is remembered
-- Returns 1.
local now, key, account, grant = clock(ARGV[1]), 'p2g:token:' .. ARGV[2], ARGV[3], ARGV[4]
redis.call('ZREM', 'p2g:grants:' .. account, grant)
if ARGV[5] == '1' then redis.call('ZREM', 'p2g:uses:' .. account, grant) end

local rest, park = tonumber(ARGV[6]), tonumber(ARGV[7])
if rest > 0 then
  local of_account = 'p2g:token:' .. account
  local rests = tonumber(redis.call('HGET', of_account, 'rests')) or 0
  redis.call('HSET', of_account, 'rests', math.max(rests, now + rest))
end
if park > 0 then
  redis.call('HSET', key, 'until', now + park, 'state', ARGV[8], 'reason', ARGV[9])
elseif park < 0 then
  redis.call('HDEL', key, 'until', 'state', 'reason', 'strikes')
end
if tonumber(ARGV[10] or 0) > 0 then redis.call('HSET', key, 'strikes', ARGV[10]) end
if (ARGV[11] or '') ~= '' then
  local unfit = 'p2g:unfit:' .. ARGV[2]
  redis.call('ZADD', unfit, now + tonumber(ARGV[12]), ARGV[11])
  redis.call('PEXPIRE', unfit, ARGV[12])
end
return 1
