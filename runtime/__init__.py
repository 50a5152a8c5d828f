"""What every process of ours needs to run: logs, signals, background tasks, child processes.

Knows nothing of jobs or Redis, and imports nothing of ours.
"""
