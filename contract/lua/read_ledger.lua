-- read_ledger: the records of the ledger behind one, in order.
--
-- ARGV: now, id of the record ('' = from the first on), how many at most
-- Returns of each {id, record}.
local found = {}
for _, entry in ipairs(redis.call('XRANGE', keys.ledger, ARGV[2] == '' and '-' or '(' .. ARGV[2], '+', 'COUNT', ARGV[3])) do
  found[#found + 1] = { entry[1], entry[2][2] }
end
return found
