"""What gateway and worker agree on: messages, Redis keys, scripts and their calls, settings.

Imports nothing else of ours. Nothing here opens a socket, starts a process or reads a clock.
"""
