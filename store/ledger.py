"""Reading the ledger: once in pages, or on and on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable

from contract.calls.ledger import PAGE, ReadLedger
from contract.ledger import LedgerRecord
from store.run import Run

Page = list[tuple[str, LedgerRecord]]
"""Records with their ids: an instant of Redis's clock in ms, and a number, `1700000000000-0`."""

BEGINNING = ""


async def pages(run: Run, after: str = BEGINNING, last: float = math.inf) -> AsyncIterator[Page]:
    """Iterate the records behind `after`, until one that was written later than `last`.

    `last` is in ms of Unix time. One page is in memory at a time, and records that come meanwhile
    are read as well. Raises RedisFault.
    """
    while page := await run(ReadLedger(after)):
        yield page
        after = page[-1][0]
        if len(page) < PAGE or instant(after) > last:
            return


class Follower:
    """Hands on each record once, with its id, from the one after `after` on.

    `take` must not wait: between two pages others have their turn.
    """

    def __init__(self, run: Run, take: Callable[[str, LedgerRecord], object], after: str) -> None:
        self.after = after
        """The id of the last record that was handed on."""
        self._run = run
        self._take = take
        self._reading = asyncio.Lock()

    async def refresh(self) -> None:
        """Hand on what has been recorded meanwhile. Raises RedisFault."""
        async with self._reading:
            async for page in pages(self._run, self.after):
                for id_, record in page:
                    self._take(id_, record)
                    self.after = id_
                await asyncio.sleep(0)


def before(milliseconds: float) -> str:
    """Return the last id before an instant of Unix time."""
    return f"{int(milliseconds) - 1}-{2**64 - 1}" if milliseconds >= 1 else BEGINNING


def instant(id_: str) -> int:
    """Return when a record was written, in ms of Unix time."""
    return int(id_.partition("-")[0])
