"""The gateway's side of Redis: jobs go out, answers come in.

`jobs` and `departures` say what is wanted; `hub` follows the answers; `survey` sees everyone else.
"""
