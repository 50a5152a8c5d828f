"""Takes jobs from the queue, never more than there are tokens free for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection

from contract.calls.worker import Dispatched
from runtime import tasks
from store.faults import RedisFault
from worker.config import PoeToken
from worker.policy.token_pool import TokenPool, Wait
from worker.queue import BELL_WAIT, Jobs

_log = logging.getLogger("worker")

FEWEST_AT_ONCE, MOST_AT_ONCE = 2, 16
"""Jobs that one dispatch may take: twice as many as the last one got, within these bounds, and the
most behind one that got all it might."""

FAULT_PAUSE = 0.5
"""Seconds before jobs are taken again, after Redis has failed."""

_SHORTEST_PAUSE = 0.001


class Intake:
    """The one task that takes jobs.

    `start` runs a job with a token that is taken for it; `running` are the ids of the jobs that run
    here. `learn_of_others` learns what the tokens of other workers can do. `lease_life` is in
    seconds.
    """

    def __init__(
        self,
        jobs: Jobs,
        pool: TokenPool,
        *,
        start: Callable[[Dispatched, PoeToken], None],
        running: Collection[str],
        learn_of_others: Callable[[], Awaitable[None]],
        lease_life: float,
    ) -> None:
        self._jobs = jobs
        self._pool = pool
        self._start = start
        self._running = running
        self._learn_of_others = learn_of_others
        self._lease_life = lease_life
        self._expected = MOST_AT_ONCE
        """Jobs that the next dispatch may take."""
        self._changed = asyncio.Event()
        """Set when a token may have become free."""
        self._listening: asyncio.Timeout | None = None
        """The wait for the bell, while it lasts."""
        self._is_closed = False

    def tokens_changed(self) -> None:
        """A token may have become free."""
        self._changed.set()

    def close(self) -> None:
        """Take nothing more."""
        self._is_closed = True
        self._changed.set()
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Take jobs until closed."""
        orphans_returned = time.monotonic()
        while not self._is_closed:
            try:
                # A dispatch that we gave up may still arrive, long after.
                if time.monotonic() - orphans_returned > self._lease_life:
                    await self._return_orphans()
                    orphans_returned = time.monotonic()
                await self._take_some()
            except RedisFault as fault:
                _log.warning("cannot take jobs: %s", fault)
                orphans_returned = -self._lease_life
                await asyncio.sleep(FAULT_PAUSE)

    async def _return_orphans(self) -> None:
        """Return jobs that were dispatched to us in a reply that never came."""
        for job, epoch in await self._jobs.orphans(self._running):
            await self._jobs.return_orphan(job, epoch)

    async def _take_some(self) -> None:
        self._changed.clear()
        tokens, until = self._free_tokens(self._expected)
        if not tokens:
            await self._until_changed(min(until - time.monotonic(), self._lease_life / 3))
            return
        limits = self._pool.fit_counts(tokens, time.monotonic())
        if limits and not until:
            # Among more of them there may be one for what these do not suit.
            more, until = self._free_tokens(MOST_AT_ONCE - len(tokens))
            tokens += more
            limits = self._pool.fit_counts(tokens, time.monotonic())
        try:
            dispatched = await self._jobs.dispatch(len(tokens), limits)
        except BaseException:
            self._put_back(tokens)
            raise
        found = MOST_AT_ONCE if len(dispatched) == len(tokens) else 2 * len(dispatched)
        self._expected = min(max(found, FEWEST_AT_ONCE), MOST_AT_ONCE)
        for job in dispatched:
            self._start(job, self._take_for(job, tokens))
        self._put_back(tokens)
        if not tokens or self._is_closed:
            return
        if limits:
            await self._until_fit(tokens, limits, until)
        else:
            await self._until_bell()

    def _free_tokens(self, most: int) -> tuple[list[PoeToken], float]:
        """Take tokens that could start a call now; if there are fewer, tell when the next can."""
        tokens: list[PoeToken] = []
        for _ in range(most):
            found = self._pool.acquire(time.monotonic())
            if isinstance(found, Wait):
                return tokens, found.until
            tokens.append(found)
        return tokens, 0.0

    def _put_back(self, tokens: list[PoeToken]) -> None:
        for token in reversed(tokens):
            self._pool.cancel(token)

    def _take_for(self, dispatched: Dispatched, tokens: list[PoeToken]) -> PoeToken:
        """Take out of these tokens one that suits the job, if there is one."""
        model, now = dispatched.job.model, time.monotonic()
        fit = (
            place
            for place, token in enumerate(tokens)
            if token.id not in dispatched.tried and self._pool.suits(token, model, now)
        )
        return tokens.pop(next(fit, 0))

    async def _until_fit(
        self, tokens: list[PoeToken], limits: dict[str, int], until: float
    ) -> None:
        """Wait for a job, or for a token that is fit for the jobs that were left."""
        await self._learn_of_others()
        if self._pool.fit_counts(tokens, time.monotonic()) != limits:
            return
        waiting = [
            asyncio.create_task(self._jobs.wait_for_bell()),
            asyncio.create_task(self._changed.wait()),
        ]
        pause = min(until - time.monotonic(), BELL_WAIT) if until else BELL_WAIT
        try:
            done, _ = await asyncio.wait(
                waiting,
                timeout=max(pause, _SHORTEST_PAUSE),
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                task.result()
        finally:
            await tasks.end(waiting)

    async def _until_bell(self) -> None:
        """Wait for the bell, unless there is nothing more to be taken."""
        try:
            async with asyncio.timeout(None) as self._listening:
                await self._jobs.wait_for_bell()
        except TimeoutError:
            if not self._is_closed:
                raise
        finally:
            self._listening = None

    async def _until_changed(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, _SHORTEST_PAUSE)):
                await self._changed.wait()
        except TimeoutError:
            return
