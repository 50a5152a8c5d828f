"""What every process needs: logs, signals, background tasks, child processes.

Knows nothing of jobs or Redis, and imports no other package of ours.
"""
