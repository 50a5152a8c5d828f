"""Tells people who look at the Poe accounts which tokens this worker has."""

from __future__ import annotations

import time

from contract.calls.accounts import SeenToken
from worker.config import PoeToken
from worker.policy.leases import Leases
from worker.policy.token_pool import TokenPool
from worker.queue import Queue

REPORT_EVERY = 60.0
"""Seconds after which everything is said again, should Redis have forgotten it."""


class TokenReports:
    """The reports of one worker."""

    def __init__(self, queue: Queue, pool: TokenPool, leases: Leases) -> None:
        self._queue = queue
        self._pool = pool
        self._leases = leases
        self._said: dict[str, SeenToken] = {}
        self._said_at = 0.0
        self._said_of: tuple[list[PoeToken], list[str]] = ([], [])
        """The tokens of the last report, and their batches: another list once they change."""

    async def report(self) -> None:
        """Say what has changed of the tokens that we own. Raises RedisFault."""
        now, owned, batches = time.monotonic(), self._pool.owned(), self._leases.batches
        if now - self._said_at >= REPORT_EVERY:
            self._said, self._said_at = {}, now
        elif self._said_of[0] == owned and self._said_of[1] is batches:
            # Nearly always: to word thousands of reports each time would be most of an idle
            # worker's work.
            return
        seen = {token.id: self._seen(token) for token in owned}
        new = {key: token for key, token in seen.items() if self._said.get(key) != token}
        await self._queue.tokens.report(new)
        self._said, self._said_of = seen, (owned, batches)

    def _seen(self, token: PoeToken) -> SeenToken:
        return SeenToken(
            token.label,
            token.account,
            self._leases.batch_of(token.account),
            token.rate_limit,
            token.max_in_flight,
            token.cool_down,
        )
