"""What all who look at the page now share: one look at Redis a second, and the last hour."""

from __future__ import annotations

import asyncio
import time

from admin.recent import MINUTES, Recent
from contract.calls.overview import Overview, ReadOverview
from contract.ledger import Request
from contract.start_rate import StartRate
from store.ledger import Follower, before
from store.run import Run

LIFE = 1.0
"""Seconds for which a look is shown to others as well."""

_TRIES, _PAUSE = 25, 0.1
"""How often a record is looked for, and how many seconds apart: it is written as its job ends."""


class Watch:
    """Looks at the queue when somebody wants to see it, however many they are."""

    def __init__(self, run: Run) -> None:
        self.recent = Recent()
        self._run = run
        self._follower: Follower | None = None
        self._rate = StartRate()
        self._looking = asyncio.Lock()
        self._last: Overview | None = None
        self._until = 0.0

    @property
    def rate(self) -> float:
        """How many jobs start in a second, as far as is known."""
        return self._rate.rate()

    async def look(self) -> Overview:
        """Return the last look, or take another one. Raises RedisFault."""
        async with self._looking:
            if self._last is None or time.monotonic() >= self._until:
                self._last = await self._run(ReadOverview())
                self._until = time.monotonic() + LIFE
                self._rate.observe(self._last)
                await self._follow(self._last.at)
            return self._last

    async def record_of(self, job: str) -> Request | None:
        """Return the record of a job that has just ended, or None if there is none within moments.

        Raises RedisFault.
        """
        for _ in range(_TRIES):
            await self._follow((await self.look()).at)
            if record := self.recent.of_job(job):
                return record
            await asyncio.sleep(_PAUSE)
        return None

    async def _follow(self, now: float) -> None:
        if self._follower is None:
            start = before((now - (MINUTES + 1) * 60) * 1000)
            self._follower = Follower(self._run, lambda _, record: self.recent.add(record), start)
        await self._follower.refresh()
