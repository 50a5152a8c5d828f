-- rotate_key: give a key another secret. The present one stays valid for a grace.
--
-- A secret that was replaced before ends with the grace too, if not sooner: so without a grace no
-- other secret is valid from now on, whatever was rotated before.
--
-- ARGV: now, id, digest of the new secret, ms of grace
-- Returns 1, or 0 where there is no such key.
local now, id, digest, grace = clock(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
local secrets = keys.key_secrets(id)
if redis.call('EXISTS', keys.stored_key(id)) == 0 then return 0 end
local known = redis.call('HGETALL', secrets)
for i = 1, #known, 2 do
  local each, ends = known[i], tonumber(known[i + 1])
  local last = ends > 0 and math.min(ends, now + grace) or now + grace
  if each ~= digest then
    if last <= now then
      redis.call('HDEL', secrets, each)
      redis.call('DEL', keys.key_digest(each))
    else
      redis.call('HSET', secrets, each, last)
      redis.call('PEXPIRE', keys.key_digest(each), last - now + SPARE)
    end
  end
end
redis.call('HSET', secrets, digest, 0)
redis.call('SET', keys.key_digest(digest), id)
return 1
