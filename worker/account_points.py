"""Asks Poe what accounts were charged for, and how many points they have left. Both are free."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from worker.config import PoeToken
from worker.poe.client import PoeClient
from worker.poe.faults import Fault, FaultKind
from worker.poe.points_history import Row
from worker.queue.tokens import Tokens

MOST_PAGES = 100
"""Pages that are read at once: 10,000 rows."""

PATIENCE = 30.0
"""Seconds that Poe has for a page, or a balance."""

LONGEST_DELAY = 10_000
"""Milliseconds by which a page may be older than it says; beyond that, a clock is wrong."""

BALANCE_AGE = 3600.0
"""Seconds after which the points that an account has left are asked for anew."""

_log = logging.getLogger("worker.reconciler")

T = TypeVar("T")


class AccountPoints:
    """What one worker asks about the points of its accounts.

    `now` says what time it is, in milliseconds of Unix time, by the clock that the ledger goes by.
    """

    def __init__(self, poe: PoeClient, store: Tokens, now: Callable[[], int]) -> None:
        self._poe = poe
        self._store = store
        self._now = now
        self._asked: dict[str, float] = {}
        """When an account's balance was asked for, on the monotonic clock."""

    async def rows(self, tokens: Sequence[PoeToken], since: int) -> tuple[list[Row], bool]:
        """Read an account's history back to `since`, in Unix milliseconds.

        `tokens` are those of the account. Returns the rows, and whether Poe has given all. Where
        Poe's clock differs from ours, their times are by ours.
        """
        rows: dict[str, Row] = {}
        fault = None
        for token in tokens:
            try:
                await self._read(token.secret, since, rows)
            except Fault as found:
                fault = found
                if found.kind is not FaultKind.BAD_KEY:
                    break
            else:
                return list(rows.values()), True
        _log.warning("the points history of %s cannot be read: %s", tokens[0].label, fault)
        return list(rows.values()), False

    async def _read(self, secret: str, since: int, rows: dict[str, Row]) -> None:
        after = ""
        for _ in range(MOST_PAGES):
            page = await _in_time(self._poe.points_history(secret, after))
            before, lag = len(rows), lag_of(page.written, self._now())
            found = [msgspec.structs.replace(row, at=row.at + lag) for row in page.rows]
            rows.update((row.query, row) for row in found if row.query not in rows)
            # Pages that bring nothing new might come for ever.
            is_new = len(rows) > before
            if not page.next or not is_new or min(row.at for row in found) < since:
                return
            after = page.next

    def is_old(self, account: str) -> bool:
        """Return whether it is time to ask for an account's balance."""
        asked = self._asked.get(account)
        return asked is None or time.monotonic() - asked >= BALANCE_AGE

    async def ask(self, tokens: Sequence[PoeToken]) -> None:
        """Ask for an account's balance, and note it for all of its tokens. Raises RedisFault."""
        self._asked[tokens[0].account] = time.monotonic()
        for token in tokens:
            try:
                points = await _in_time(self._poe.balance(token.secret))
            except Fault as fault:
                _log.debug("the balance of %s is not known: %s", token.label, fault)
            else:
                await self._store.note_balance(tokens, points)
                return


def lag_of(written: int | None, now: int) -> int:
    """Return by how many milliseconds Poe's clock is behind ours, if that is more than a delay."""
    lag = 0 if written is None else now - written
    return lag if abs(lag) > LONGEST_DELAY else 0


async def _in_time(asking: Coroutine[Any, Any, T]) -> T:
    try:
        async with asyncio.timeout(PATIENCE):
            return await asking
    except TimeoutError:
        raise Fault(FaultKind.TIMEOUT) from None
