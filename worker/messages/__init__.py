"""Poe's Anthropic API, `POST /v1/messages`, for clients that speak Anthropic's dialect themselves.

What they send and get passes nearly as it is, with signatures, redacted thoughts, `cache_control`
and token counts. Exports one object, `UPSTREAM`. Pure.
"""

from worker.messages.upstream import UPSTREAM

__all__ = ["UPSTREAM"]
