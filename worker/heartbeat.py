"""The heartbeat: shows that the worker lives, and with it keeps leases and calls in flight."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from contract.lifetimes import GATEWAY_LIFE
from contract.messages import WorkerReport
from store import clock
from store.faults import RedisFault
from worker.calls import Calls
from worker.config import PoeToken
from worker.policy.leases import Leases
from worker.policy.token_pool import TokenPool
from worker.queue import Queue

_log = logging.getLogger("worker")


class Heartbeat:
    """The heartbeat of one worker.

    `report` says what the worker tells of itself. `on_absence` is called after the worker was away
    for so long, or Redis is another one, that some of its jobs may be others' by now. `on_beat` is
    called after each. `lease_life` is in seconds.
    """

    def __init__(
        self,
        queue: Queue,
        pool: TokenPool,
        leases: Leases,
        calls: Calls,
        *,
        lease_life: float,
        report: Callable[[], WorkerReport],
        on_absence: Callable[[], Awaitable[None]],
        on_beat: Callable[[], None],
    ) -> None:
        self.last = time.monotonic()
        """When the last heartbeat that Redis took was sent."""
        self._queue = queue
        self._pool = pool
        self._leases = leases
        self._calls = calls
        self._lease_life = lease_life
        self._report = report
        self._on_absence = on_absence
        self._on_beat = on_beat
        self._run_id = ""
        """Which Redis took the last one."""
        self._grace = max(lease_life, GATEWAY_LIFE)
        """Seconds that everyone has to come back after an outage of Redis."""
        self._present_since = self.last - self._grace
        """Since when none has failed."""

    async def beat(self, *, leaving: bool) -> None:
        """Send one heartbeat, and learn what its reply brings. Raises RedisFault."""
        sent = time.monotonic()
        try:
            fences = await self._send(sent, leaving=leaving)
        except RedisFault:
            self._present_since = sent
            raise
        await self._notice_absence(sent)
        await self._learn_states(self._pool.own(self._leases.renew(fences, sent)))
        if self._calls.in_flight:
            await self._queue.tokens.extend(self._calls.in_flight)
        self.last = sent
        await self._reclaim(sent)
        self._on_beat()

    async def say_goodbye(self) -> None:
        """Send a heartbeat that gives up the leases, if Redis can be reached."""
        try:
            await self.beat(leaving=True)
        except RedisFault as fault:
            _log.warning("cannot tell Redis that this worker leaves: %s", fault)

    async def learn_of_others(self) -> None:
        """Learn what the workers that own them know of the tokens that we do not."""
        await self._learn_states(self._pool.foreign())

    async def learn_of_all(self) -> None:
        """Learn anew what is known of every token."""
        await self._learn_states(self._pool.all())

    async def _send(self, now: float, *, leaving: bool) -> dict[str, int]:
        if step := await self._queue.session.keep_time():
            _log.warning(clock.described(step))
        if self._pool.asks_after_others(now):
            await self.learn_of_others()
        return await self._queue.fleet.heartbeat(
            self._report(), self._leases.batches, leaving=leaving
        )

    async def _notice_absence(self, sent: float) -> None:
        run_id = await self._queue.session.run_id()
        if self._run_id not in ("", run_id) or sent - self.last > self._lease_life:
            self._present_since = sent
            await self._on_absence()
        self._run_id = run_id

    async def _reclaim(self, now: float) -> None:
        # After an outage of Redis everyone's heartbeat has lapsed: leave them time to come back.
        if now - self._present_since > self._grace:
            for worker in await self._queue.fleet.reclaim():
                _log.warning("worker %s has died; its jobs were reclaimed", worker)

    async def _learn_states(self, tokens: list[PoeToken]) -> None:
        now = time.monotonic()
        for token_id, state in (await self._queue.tokens.states(tokens)).items():
            self._pool.learn(token_id, state, now)
