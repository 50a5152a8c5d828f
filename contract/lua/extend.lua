-- extend: keep calls in flight counted for as long again, wherever they are counted.
--
-- ARGV: now, life ms of a grant, then for each call: token, account, grant
-- Returns 1.
local life = tonumber(ARGV[2])
local expiry = clock(ARGV[1]) + life
for i = 3, #ARGV, 3 do
  local token, account, grant = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  for _, each in ipairs(both(account, account_of(token))) do
    local grants = keys.grants(each)
    if redis.call('ZSCORE', grants, grant) then enter(grants, grant, expiry, life) end
  end
  if redis.call('EXISTS', keys.account(token)) == 1 then keep(keys.account(token), life + SPARE) end
end
return 1
