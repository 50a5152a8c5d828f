"""OpenAI's Responses API, and pure: bytes and contract messages in, and the same out.

`dialect` lists its endpoint. Answers are not kept: whoever asks sends the whole conversation.
"""
