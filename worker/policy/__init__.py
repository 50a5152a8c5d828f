"""What the worker decides: which token, which upstream, and what follows from a fault.

Pure: functions and small state machines of values and `now`.
"""
