-- remove_key: delete a key, all its secrets, and what was counted of a budget that does not renew. Requests that were accepted go on.
--
-- ARGV: now, id
-- Returns 1, or 0 where there is no such key.
clock(ARGV[1])
local id = ARGV[2]
local name = redis.call('HGET', keys.stored_key(id), 'name')
if not name then return 0 end
for _, digest in ipairs(redis.call('HKEYS', keys.key_secrets(id))) do
  redis.call('DEL', keys.key_digest(digest))
end
redis.call('DEL', keys.stored_key(id), keys.key_secrets(id), keys.total_of_key(id))
redis.call('HDEL', keys.key_names, name)
redis.call('ZREM', keys.key_ids, id)
return 1
