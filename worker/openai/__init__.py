"""Poe's OpenAI API, `POST /v1/chat/completions`: how it is asked, and how its chunks are read.

Exports one object, `UPSTREAM`. Pure.
"""

from worker.openai.upstream import UPSTREAM

__all__ = ["UPSTREAM"]
