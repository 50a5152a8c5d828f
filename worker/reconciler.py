"""Finds out from Poe's points history what calls have really cost.

One worker at a time looks into the history of an account, after calls of it have ended, and only as
often as the setting says. Each look reads from the newest row back to the oldest call whose row is
missing. What is decided is stored before it is carried out, so a worker that dies amid it does
nothing twice and forgets nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Collection, Sequence
from random import randrange

import msgspec

from contract.ledger import Correction
from store.faults import RedisFault
from worker.account_points import AccountPoints
from worker.config import PoeToken
from worker.models import Models
from worker.poe.points_history import Row
from worker.policy.leases import Leases
from worker.policy.reconciliation import (
    REQUEST_LIFE,
    Found,
    Open,
    Reconciled,
    next_look,
    reconcile,
    wanted_since,
)
from worker.queue.reconciliations import LONGEST, Reconciliations, State

LONGEST_REST = 3600.0
"""Seconds after which a history that could not be read is tried again at the latest."""

IDLE = 3600_000
"""Milliseconds after which an account is looked at again of which nothing is expected."""

PAUSE = 0.02
"""Seconds between two looks: thousands of accounts may be due at once, and calls go first."""

MOST_BALANCES = 10
"""Idle accounts whose balances are asked for in a row."""

RESERVE = 60.0
"""Seconds of a claim that are left when a look is given up."""

_log = logging.getLogger("worker.reconciler")


class Reconciler:
    """The looks of one worker. `every` is the least time, in seconds, between two at an account."""

    def __init__(
        self,
        store: Reconciliations,
        points: AccountPoints,
        models: Models,
        leases: Leases,
        tokens: Sequence[PoeToken],
        *,
        every: float,
    ) -> None:
        self.tokens = tokens
        self._store = store
        self._points = points
        self._models = models
        self._leases = leases
        self._every = every
        self._due: dict[str, int] = {}
        """When an account is to be looked at even if nothing new has happened, in milliseconds."""
        self._failures: Counter[str] = Counter()
        """How often in a row an account's history could not be read."""

    async def keep(self) -> None:
        """Wait, then look at all accounts of this worker that are due. Raises RedisFault."""
        await asyncio.sleep(self._every)
        await self._store.distribute()
        accounts = self._accounts()
        # Another worker may leave more to be done of those that are not ours meanwhile.
        self._due = {account: due for account, due in self._due.items() if account in accounts}
        labels = await self._store.labels(accounts)
        fresh = await self._store.fresh(labels)
        await self._expect([account for account in accounts if account not in self._due])
        for account, tokens in accounts.items():
            if account in fresh or self._due[account] <= self._store.now():
                await self._look_alone(account, tokens, labels[account])
                await asyncio.sleep(PAUSE)
        idle = [tokens for account, tokens in accounts.items() if self._points.is_old(account)]
        for tokens in idle[:MOST_BALANCES]:
            await self._points.ask(tokens)

    async def _expect(self, accounts: Sequence[str]) -> None:
        """Note when accounts are due that are new here, by what earlier looks have left of them."""
        now = self._store.now()
        async for account, state in self._store.states(accounts):
            due = now if state.unsent else next_look(state.opens, state.rows, state.looked)
            # Those of which nothing is expected are not due all at the same time.
            self._due[account] = now + randrange(IDLE) if due is None else due  # noqa: S311

    def _accounts(self) -> dict[str, list[PoeToken]]:
        """Return the accounts that we own now, with their tokens."""
        now = time.monotonic()
        accounts: dict[str, list[PoeToken]] = {}
        for token in self.tokens:
            if self._leases.lease(token.account, now) is not None:
                accounts.setdefault(token.account, []).append(token)
        return accounts

    async def _look_alone(
        self, account: str, tokens: Sequence[PoeToken], labels: Collection[str]
    ) -> None:
        """Look at an account; what is wrong with it does not concern the others."""
        try:
            await self._look(account, tokens, labels)
        except RedisFault:
            raise
        except Exception:
            _log.exception("%s is not reconciled with Poe, by our own fault", tokens[0].label)

    async def _look(
        self, account: str, tokens: Sequence[PoeToken], labels: Collection[str]
    ) -> None:
        if not await self._store.claim(account):
            return
        # If this look breaks off, the next round asks Redis what it has left.
        del self._due[account]
        limit = asyncio.timeout(LONGEST - RESERVE)
        try:
            async with limit:
                await self._reconcile(account, tokens, labels)
        except TimeoutError:
            if not limit.expired():
                raise  # a fault of Redis
            _log.warning("reading the points history of %s takes too long", tokens[0].label)
        finally:
            await self._store.rest(account, self._rest(account))

    def _rest(self, account: str) -> float:
        return min(self._every * 2.0 ** min(self._failures[account], 20), LONGEST_REST)

    async def _reconcile(
        self, account: str, tokens: Sequence[PoeToken], labels: Collection[str]
    ) -> None:
        now = self._store.now()
        taken = await self._store.take(account, labels)
        await self._store.correct(taken.state)
        state = msgspec.structs.replace(
            taken.state, opens=(*taken.state.opens, *map(Open, taken.requests)), unsent=()
        )
        state, rows = await self._read(account, tokens, state, now)
        found = await asyncio.to_thread(
            reconcile,
            state.opens,
            [*state.rows, *rows],
            now,
            self._models.known_as,
            state.newest,
        )
        corrections = tuple(_correction(each, tokens[0].label) for each in found.found)
        state = msgspec.structs.replace(
            state, opens=found.opens, rows=found.rows, unsent=corrections
        )
        if state != taken.state or taken.requests:
            await self._store.save(account, state, taken, rows, now)
        if corrections:
            await self._store.correct(state)
            await self._store.settle(account, state)
        _report(found, tokens[0].label)
        due = next_look(state.opens, state.rows, state.looked)
        self._due[account] = now + IDLE if due is None else due

    async def _read(
        self, account: str, tokens: Sequence[PoeToken], state: State, now: int
    ) -> tuple[State, list[Row]]:
        """Return the rows that are new, and the state as it is with them."""
        wanted = wanted_since(state.opens, state.looked, now)
        if wanted is None:
            return state, []
        # All rows since the last look are of interest, also those that are nobody's.
        since = max(min(wanted, state.newest or wanted), now - REQUEST_LIFE)
        rows, is_whole = await self._points.rows(tokens, since)
        self._failures[account] = 0 if is_whole else self._failures[account] + 1
        if is_whole:
            await self._points.ask(tokens)
            # Nothing that Poe says of the future may keep us from looking at the present.
            newest = max([state.newest, *(min(row.at, now) for row in rows)])
            state = msgspec.structs.replace(state, looked=now, newest=newest)
        # Rows before `since` may be of a time without us.
        rows = [row for row in rows if row.at >= since]
        known = await self._store.known(account, rows)
        return state, [row for row in rows if row.query not in known]


def _correction(found: Found, label: str) -> tuple[Correction, tuple[str, ...]]:
    """Return what the ledger is told, and the budgets in which it counts."""
    row, request = found.row, found.request
    if request is None:
        correction = Correction(job="", model=row.bot if row else "", account=label)
    else:
        correction = Correction(
            job=request.job,
            client=request.client,
            name=request.name,
            group=request.group,
            model=request.model,
            account=request.account,
            query=f"no row of {request.job}",
            at=request.asked + request.duration,
        )
    if row is not None:
        correction = msgspec.structs.replace(correction, query=row.query, at=row.at)
    correction = msgspec.structs.replace(correction, points=found.points, reason=found.reason)
    return correction, request.budgets if request else ()


def _report(found: Reconciled, label: str) -> None:
    if found.found:
        reasons = Counter[str](each.reason for each in found.found)
        changed = sum(each.points for each in found.found if each.request)
        _log.info(
            "reconciled with Poe",
            extra={"account": label, "rows": dict(reasons), "points_changed": changed},
        )
    if found.lost:
        _log.warning(
            "Poe's points history has no row for %d requests of %s; they stay as they were settled",
            found.lost,
            label,
        )
