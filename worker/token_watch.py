"""Watches the tokens that cannot be used: those that are set aside, and those without an owner."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from contract.calls.tokens import TokenUpdate
from contract.stored_tokens import HELD
from worker.config import PoeToken
from worker.poe.client import PoeClient
from worker.poe.faults import Fault
from worker.policy import token_penalties
from worker.policy.leases import Leases
from worker.policy.token_pool import TokenPool
from worker.queue import Queue

_log = logging.getLogger("worker")


class TokenWatch:
    """The watch over the tokens of one worker's configuration."""

    def __init__(
        self,
        tokens: tuple[PoeToken, ...],
        queue: Queue,
        pool: TokenPool,
        leases: Leases,
        poe: PoeClient,
        *,
        on_free: Callable[[], None],
    ) -> None:
        self.unowned = 0
        """Tokens that no worker has owned for a while."""
        self.tokens = tokens
        self._queue = queue
        self._pool = pool
        self._leases = leases
        self._poe = poe
        self._on_free = on_free
        self._looked_at: dict[str, float] = {}
        """When a parked token's balance was last looked at."""
        self._unowned_batches: set[str] = set()
        """Those of the last look."""

    async def look_at_parked(self) -> None:
        """See by its balance, which costs nothing, whether a parked token can come back already."""
        now = time.monotonic()
        for token in self._pool.parked(now):
            if self._pool.state(token.id) == HELD:
                continue  # its balance does not matter
            every = token_penalties.look_every(self._pool.state(token.id))
            if now - self._looked_at.get(token.id, -every) >= every:
                self._looked_at[token.id] = now
                await self._look_at(token)

    async def _look_at(self, token: PoeToken) -> None:
        try:
            points = await self._poe.balance(token.secret)
        except Fault:
            return
        await self._queue.tokens.note_balance([token], points)
        if points > 0:
            _log.warning("%s is well again, with %d points", token.label, points)
            self._pool.unpark(token.id)
            await self._queue.tokens.release(token, "", used=True, update=TokenUpdate(park=-1))
            self._on_free()

    async def look_for_unowned(self) -> None:
        """Report the tokens that nobody owns now nor did at the last look."""
        batches = await self._queue.fleet.unowned(self._leases.batches)
        lasting = batches & self._unowned_batches
        self._unowned_batches = batches
        tokens = [t for t in self.tokens if self._leases.batch_of(t.account) in lasting]
        if tokens and len(tokens) != self.unowned:
            _log.warning("no worker owns %s", ", ".join(token.label for token in tokens))
        self.unowned = len(tokens)
