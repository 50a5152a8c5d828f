"""What gateway and worker agree on: messages, Redis keys, scripts and shared settings.

Imports nothing of ours, and nothing here opens a socket or reads a clock.
"""
