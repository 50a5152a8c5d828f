"""The ledger, summed up in memory for all who look at it."""

from __future__ import annotations

import datetime
from collections import OrderedDict
from dataclasses import dataclass

from contract.calls.ledger import ReadLedger
from contract.usage import DAY, GROUP, KEY, MODEL, Usage
from store.ledger import BEGINNING, Follower, instant
from store.stored_keys import Run

MOST_ZONES = 3
"""Time zones of which sums are kept; another one takes the place of the one unused for longest."""


@dataclass(frozen=True)
class _Book:
    usage: Usage
    follower: Follower


class Books:
    """Sums by day, for each of a few time zones."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._books: OrderedDict[str, _Book] = OrderedDict()

    async def usage(self, zone: str) -> Usage:
        """Return the sums up to now. The first time, it reads the ledger whole.

        Raises RedisFault; ValueError or LookupError for a zone that is none.
        """
        book = self._books.get(zone)
        if book is None:
            usage = Usage(zone, (DAY, KEY, GROUP, MODEL))
            follower = Follower(self._run, lambda _, record: usage.add(record), BEGINNING)
            book = self._books[zone] = _Book(usage, follower)
        self._books.move_to_end(zone)
        while len(self._books) > MOST_ZONES:
            self._books.popitem(last=False)
        await book.follower.refresh()
        await self._forget(book.usage)
        return book.usage

    async def _forget(self, usage: Usage) -> None:
        """Drop the days of which Redis has no record any longer."""
        if oldest := await self._run(ReadLedger(BEGINNING, 1)):
            # What is recorded on a day may have been asked the day before, or be so elsewhere.
            at = datetime.datetime.fromtimestamp(instant(oldest[0][0]) / 1000, datetime.UTC)
            usage.forget((at.date() - datetime.timedelta(days=2)).isoformat())
