"""The ledger, summed up in memory for all who look at it."""

from __future__ import annotations

import asyncio
import datetime
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from contract.calls.ledger import ReadLedger
from contract.usage import DAY, GROUP, KEY, MODEL, Usage
from store.ledger import BEGINNING, Follower, instant
from store.run import Run

R = TypeVar("R")

MOST_ZONES = 3
"""Time zones of which sums are kept; another one takes the place of the one unused for longest."""


@dataclass(frozen=True)
class _Book:
    usage: Usage
    follower: Follower
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while the sums are added to or read."""


class Books:
    """Sums by day, for each of a few time zones."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._books: OrderedDict[str, _Book] = OrderedDict()

    async def read(self, zone: str, view: Callable[[Usage], R]) -> R:
        """Return what is seen in the sums up to now. The first time, it reads the ledger whole.

        `view` gets the sums in a thread, as it may take seconds, and must not keep them.
        Raises RedisFault; ValueError or LookupError for a zone that is none.
        """
        book = self._book(zone)
        async with book.lock:
            await book.follower.refresh()
            await self._forget(book.usage)
            return await asyncio.to_thread(view, book.usage)

    def _book(self, zone: str) -> _Book:
        book = self._books.get(zone)
        if book is None:
            usage = Usage(zone, (DAY, KEY, GROUP, MODEL))
            follower = Follower(self._run, lambda _, record: usage.add(record), BEGINNING)
            book = self._books[zone] = _Book(usage, follower)
        self._books.move_to_end(zone)
        while len(self._books) > MOST_ZONES:
            self._books.popitem(last=False)
        return book

    async def _forget(self, usage: Usage) -> None:
        """Drop the days of which Redis has no record any longer."""
        if oldest := await self._run(ReadLedger(BEGINNING, 1)):
            # What is recorded on a day may have been asked the day before, or be so elsewhere.
            at = datetime.datetime.fromtimestamp(instant(oldest[0][0]) / 1000, datetime.UTC)
            usage.forget((at.date() - datetime.timedelta(days=2)).isoformat())
