-- distribute: hand the requests of the ledger to those who look for them in Poe's points history.
--
-- The ledger is read once for all, from where it was read last. A request that was sent to Poe is put into
-- the list of the Poe token that was asked last. Where nobody takes it, because no worker has the token any
-- longer, it is forgotten.
--
-- ARGV: now, most records to read, ms after their end for which requests are looked for
-- Returns how many records were read.
local MOST, now = 20000, clock(ARGV[1])
local after = redis.call('GET', keys.distributed)
local entries = redis.call('XRANGE', keys.ledger, after and '(' .. after or '-', '+', 'COUNT', ARGV[2])
for _, entry in ipairs(entries) do
  -- The places are those of `Request` in contract/ledger.py, behind its tag.
  local record = cmsgpack.unpack(entry[2][2])
  local tag, account, asked, duration, sent = record[1], record[7], record[9], record[11], record[21]
  if tag == 'request' and (sent or 0) > 0 and account ~= '' and asked + duration > now - ARGV[3] then
    redis.call('RPUSH', keys.unreconciled(account), entry[2][2])
    redis.call('LTRIM', keys.unreconciled(account), -MOST, -1)
    keep(keys.unreconciled(account), tonumber(ARGV[3]))
  end
end
if #entries > 0 then redis.call('SET', keys.distributed, entries[#entries][1]) end
return #entries
