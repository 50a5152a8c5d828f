"""OpenAI's API, and pure: bytes and contract messages in, bytes and contract messages out.

`dialect` lists its endpoints: chat completions, legacy completions, images.
"""
