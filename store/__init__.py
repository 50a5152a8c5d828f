"""How both sides reach Redis: where it is, connections that never repeat a command, scripts.

The contract says what is in Redis and opens no socket; the rooms named `queue` on either side say
what is asked of it. What lies in between is here, and knows neither.
"""
