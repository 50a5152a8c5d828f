"""Poe's Responses API, `POST /v1/responses`: how it is asked, and how its events are read.

Exports one object, `UPSTREAM`. Pure.
"""

from worker.responses.upstream import UPSTREAM

__all__ = ["UPSTREAM"]
