-- read_keys: what there is to know of keys, but for what their secrets are.
--
-- ARGV: now, and either how many keys to leave out and how many to return, in the order in which they
--       were made; or '', '', then each key's id, or its name as JSON
-- Returns for each that there is {id, its fields, ms until when each replaced secret is valid}.
local now, ids, found = clock(ARGV[1]), {}, {}
if ARGV[2] ~= '' then
  ids = redis.call('ZRANGE', keys.key_ids, ARGV[2], ARGV[2] + ARGV[3] - 1)
end
for i = 4, #ARGV do
  ids[#ids + 1] = redis.call('HGET', keys.key_names, ARGV[i]) or ARGV[i]
end
for _, id in ipairs(ids) do
  local fields, retiring = redis.call('HGETALL', keys.stored_key(id)), {}
  for _, ends in ipairs(redis.call('HVALS', keys.key_secrets(id))) do
    if tonumber(ends) > now then retiring[#retiring + 1] = tonumber(ends) end
  end
  if #fields > 0 then found[#found + 1] = { id, fields, retiring } end
end
return found
