"""Poe's bot protocol, `POST /bot/{bot}`: how a bot is asked, and how its events are read.

Exports one object, `UPSTREAM`. Pure.
"""

from worker.bot.upstream import UPSTREAM

__all__ = ["UPSTREAM"]
