"""The worker: takes jobs while it has a token free for them, and brings their answers from Poe.

Begin with `service` (the process), `run` (one job) and `calls` (one call).
"""
