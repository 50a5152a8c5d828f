"""The bell that rings when jobs have come, on a connection of its own: waiting for it blocks."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from contract.keys import Keys
from runtime import tasks
from store.faults import RedisFault
from store.link import Link

BELL_WAIT = 1.0
"""Seconds for which an idle worker waits for the bell before it looks for itself."""


class Bell:
    """Hears the bell. `patience` is in seconds: how much longer than `BELL_WAIT` a wait may take.

    A wait that is given up goes on in Redis, and the next one joins it: a ring is never lost.
    """

    def __init__(self, url: str, keys: Keys, *, patience: float) -> None:
        self._link = Link(url, keys, timeout=BELL_WAIT + patience)
        self._key = keys.bell
        self._waiting: asyncio.Task[Any] | None = None

    async def wait(self) -> None:
        """Return when the bell has rung, or after `BELL_WAIT` seconds. Raises RedisFault."""
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._link.call("BRPOP", self._key, BELL_WAIT))
        waiting = self._waiting
        await asyncio.wait((waiting,))
        self._waiting = None
        waiting.result()

    async def aclose(self) -> None:
        """Close the connection."""
        if self._waiting is not None:
            await tasks.end([self._waiting])
        with suppress(*RedisFault):
            await self._link.aclose()
