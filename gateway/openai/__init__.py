"""OpenAI's chat completions dialect: requests in, answers and errors out.

Pure: bytes and contract messages come in, bytes and contract messages go out. Nothing here
opens a socket or reads a clock, and nothing else in the gateway speaks this dialect.
"""
