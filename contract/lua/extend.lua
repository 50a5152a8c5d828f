-- extend: calls in flight stay counted for as long again.
--
-- ARGV: now, life ms of a grant, then for each call: account, grant
-- Returns 1.
local expiry = clock(ARGV[1]) + tonumber(ARGV[2])
for i = 3, #ARGV, 2 do redis.call('ZADD', 'p2g:grants:' .. ARGV[i], 'XX', expiry, ARGV[i + 1]) end
return 1
