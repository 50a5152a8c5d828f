"""One typed call for each Lua script: what it takes, in words, and how its reply is read.

All durations are in seconds here and in milliseconds in Redis; the calls convert them.
"""
