"""The worker: keeps its leases, takes jobs while it has tokens free for them, and drains."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import Awaitable, Callable
from secrets import token_hex

from contract.calls.tokens import TokenUpdate
from contract.calls.worker import Dispatched
from contract.config import ModelSettings, model_settings
from contract.lifetimes import GATEWAY_LIFE, GRANT_LIFE
from contract.messages import Model, WorkerReport
from runtime import tasks
from store import clock
from store.faults import RedisFault
from worker.calls import Calls
from worker.checker import Checker
from worker.config import PoeToken, WorkerConfig
from worker.emitter import Emitter
from worker.models import Models
from worker.poe.client import PoeClient
from worker.poe.faults import Fault
from worker.policy import token_penalties
from worker.policy.leases import Leases
from worker.policy.run_state import Stop
from worker.policy.token_pool import TokenPool, Wait
from worker.queue import BELL_WAIT, Queue
from worker.run import JobRun

_log = logging.getLogger("worker")

FIRST_CATALOGUE = 5.0
"""Seconds for which the first jobs wait for the catalogue, which tells how to ask for them."""

MOST_AT_ONCE = 16
"""Jobs that one dispatch may take."""

GRANT_RESERVE = 10.0
"""Seconds before a grant's end at which its call is cut, should Redis not have heard of us."""

LAST_WORDS = 5.0
"""Seconds that the jobs of a worker that must stop have to say so to Redis."""

FAULT_PAUSE = 0.5
"""Seconds before a loop that Redis has failed goes on."""


class Service:
    """One worker process."""

    def __init__(self, config: WorkerConfig, queue: Queue, poe: PoeClient, version: str) -> None:
        self.name = queue.worker
        self.queue = queue
        self.simulate_roles = config.simulate_roles
        self.pool = TokenPool(config.tokens)
        self.leases = Leases((t.account for t in config.tokens), life=config.lease_life)
        self._changed = asyncio.Event()
        """Set when a token may have become free."""
        self.calls = Calls(
            queue,
            self.pool,
            self.leases,
            poe,
            guard=config.connect_timeout + 0.5,
            on_free=self._changed.set,
        )
        self.checker = Checker()
        self.emitter = Emitter(queue.append)
        self.models = Models(queue, poe)
        self._config = config
        self._poe = poe
        self._version = version
        self._runs: dict[str, JobRun] = {}
        self._looked: dict[str, float] = {}
        """When a parked token's balance was last looked at."""
        self._unowned: set[str] = set()
        """Batches that had no owner at the last look."""
        self._lost_tokens = 0
        """Tokens that have had none for longer."""
        self._last_beat = time.monotonic()
        self._server = ""
        """Which Redis answered the last beat."""
        self._grace = max(config.lease_life, GATEWAY_LIFE)
        """Seconds that everyone has to come back after an outage of Redis."""
        self._present_since = self._last_beat - self._grace
        """Since when no beat has failed."""
        self._draining = asyncio.Event()
        self._hurried = False

    def setting(self, name: str, model: Model | None) -> ModelSettings:
        """What is configured for a model, by any of the upstream's names for it."""
        names = (name,) if model is None else (name, model.display_name, model.id)
        return model_settings(self._config.models, *names)

    def drain(self) -> None:
        """Take nothing new; `run` returns when what runs has ended."""
        self._draining.set()
        self._changed.set()

    def hurry(self) -> None:
        """Drain, and end what runs now."""
        self._hurried = True
        for run in list(self._runs.values()):
            run.stop(Stop.DRAIN)
        self.drain()

    async def run(self) -> None:
        """Serve until drained. Raises what no retry can mend."""
        emitting = asyncio.create_task(self.emitter.run())
        serving = asyncio.create_task(self._serve())
        background = [
            asyncio.create_task(loop)
            for loop in (
                self._repeat(self._beat, self._config.lease_life / 3),
                self._repeat(self._listen, 0.0),
                self._repeat(self._cut_the_uncounted, 1.0),
                self._repeat(self.models.keep, 0.0),
                self._repeat(self._look_at_the_parked, 5.0),
                self._repeat(self._look_for_unowned, max(self._config.lease_life, 5.0)),
            )
        ]
        try:
            await asyncio.wait({emitting, serving}, return_when=asyncio.FIRST_COMPLETED)
            await (serving if serving.done() else emitting)
        finally:
            await self._abandon_jobs()
            await tasks.end([*background, emitting, serving])
            await self.checker.close()

    async def _serve(self) -> None:
        await self.models.settled(FIRST_CATALOGUE)
        await self._take_jobs()
        await self._finish_jobs()

    async def _repeat(self, step: Callable[[], Awaitable[None]], pause: float) -> None:
        while True:
            try:
                await step()
            except RedisFault as fault:
                _log.warning("Redis: %s", fault)
                await asyncio.sleep(FAULT_PAUSE)
            except Exception:
                # A worker that has stopped beating or listening would fail everyone in silence.
                _log.exception("a step failed by our own fault")
                await asyncio.sleep(FAULT_PAUSE)
            # Workers that started together must not beat together.
            await asyncio.sleep(pause * random.uniform(0.9, 1.0))  # noqa: S311

    async def _take_jobs(self) -> None:
        looked = time.monotonic()
        while not self._draining.is_set():
            try:
                # A dispatch that we gave up may still arrive, long after.
                if time.monotonic() - looked > self._config.lease_life:
                    await self._return_orphans()
                    looked = time.monotonic()
                await self._take_some()
            except RedisFault as fault:
                _log.warning("cannot take jobs: %s", fault)
                looked = -self._config.lease_life
                await asyncio.sleep(FAULT_PAUSE)

    async def _take_some(self) -> None:
        self._changed.clear()
        tokens, until = self._free_tokens()
        if not tokens:
            pause = min(until - time.monotonic(), self._config.lease_life / 3)
            await self._until_changed(max(pause, 0.001))
            return
        room = self.pool.room(tokens, time.monotonic())
        try:
            taken = await self.queue.dispatch(len(tokens), room)
        except BaseException:
            self._put_back(tokens)
            raise
        for job in taken:
            self._start(job, self._take_for(job, tokens))
        self._put_back(tokens)
        if tokens and not self._draining.is_set():
            await (self._until_fit(tokens, room, until) if room else self.queue.wait_for_bell())

    def _take_for(self, taken: Dispatched, tokens: list[PoeToken]) -> PoeToken:
        """Take out of these tokens one that suits the job, if there is one."""
        model, now = taken.job.model, time.monotonic()
        fit = (
            place
            for place, token in enumerate(tokens)
            if token.id not in taken.tried and self.pool.suits(token, model, now)
        )
        return tokens.pop(next(fit, 0))

    async def _until_fit(self, tokens: list[PoeToken], room: dict[str, int], until: float) -> None:
        """Wait for a job, or for a token that is fit for those that were left."""
        await self.learn_of_others()
        if self.pool.room(tokens, time.monotonic()) != room:
            return
        waiting = [
            asyncio.create_task(self.queue.wait_for_bell()),
            asyncio.create_task(self._changed.wait()),
        ]
        try:
            seconds = max(min(until - time.monotonic(), BELL_WAIT), 0.001) if until else BELL_WAIT
            done, _ = await asyncio.wait(
                waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        finally:
            await tasks.end(waiting)

    def _free_tokens(self) -> tuple[list[PoeToken], float]:
        """The tokens that could start a call now, and when the next one can."""
        tokens: list[PoeToken] = []
        for _ in range(MOST_AT_ONCE):
            found = self.pool.acquire(time.monotonic())
            if isinstance(found, Wait):
                return tokens, found.until
            tokens.append(found)
        return tokens, 0.0

    def _put_back(self, tokens: list[PoeToken]) -> None:
        for token in reversed(tokens):
            self.pool.cancel(token)

    def _start(self, taken: Dispatched, token: PoeToken) -> None:
        run = JobRun(self, taken)
        self._runs[taken.job.id] = run
        run.task = asyncio.create_task(run.run(token))

        def ended(_: object) -> None:
            # The job may be here again already, in a run of its own.
            if self._runs.get(taken.job.id) is run:
                del self._runs[taken.job.id]
            self._changed.set()

        run.task.add_done_callback(ended)

    async def _until_changed(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _finish_jobs(self) -> None:
        """Let what runs run on for `drain_timeout`, then cut it."""
        _log.info("draining: %d jobs still run", len(self._runs))
        await self._beat_once_more()
        give_up = time.monotonic() + self._config.drain_timeout
        while self._runs and not self._hurried and time.monotonic() < give_up:
            await self._until_some_ended(1.0)
        for run in list(self._runs.values()):
            run.stop(Stop.DRAIN)
        give_up = time.monotonic() + LAST_WORDS
        while self._runs and time.monotonic() < give_up:
            await self._until_some_ended(1.0)
        await self.calls.settled(LAST_WORDS)
        await self._beat_once_more()

    async def _abandon_jobs(self) -> None:
        """Stop runs whose last words nobody takes: Redis is gone, or the emitter is."""
        await tasks.end([run.task for run in self._runs.values() if run.task])

    async def _until_some_ended(self, seconds: float) -> None:
        await asyncio.wait([run.task for run in self._runs.values() if run.task], timeout=seconds)

    async def _beat_once_more(self) -> None:
        try:
            await self._beat()
        except RedisFault as fault:
            _log.warning("could not say goodbye to Redis: %s", fault)

    async def _beat(self) -> None:
        asked = time.monotonic()
        leaving = self._draining.is_set()
        try:
            if step := await self.queue.keep_time():
                _log.warning(clock.described(step))
            if self.pool.asks_after_others(asked):
                await self.learn_of_others()
            fences = await self.queue.beat(self._report(), self.leases.batches, leaving=leaving)
        except RedisFault:
            self._present_since = asked
            raise
        server = await self.queue.server()
        moved = self._server not in ("", server)
        if moved or asked - self._last_beat > self._config.lease_life:
            await self._wake_from_absence(asked)
        self._server = server
        new = self.pool.own(self.leases.renew(fences, asked))
        await self._learn_states(new)
        if self.calls.in_flight:
            await self.queue.extend(self.calls.in_flight)
        self._last_beat = asked
        # After an outage of Redis everyone's heartbeat has lapsed: leave them time to come back.
        if asked - self._present_since > self._grace:
            for worker in await self.queue.reclaim():
                _log.warning("worker %s has died; its jobs were seen to", worker)
        self._changed.set()

    async def learn_of_others(self) -> None:
        """Learn what workers that own them know of the tokens that we do not."""
        await self._learn_states(self.pool.foreign())

    async def _look_for_unowned(self) -> None:
        """Report the tokens that nobody has owned for as long as a lease lasts."""
        unowned = await self.queue.unowned(self.leases.batches)
        lasting = unowned & self._unowned
        self._unowned = unowned
        tokens = [t for t in self._config.tokens if self.leases.batch_of(t.account) in lasting]
        if tokens and len(tokens) != self._lost_tokens:
            _log.warning("no worker owns %s", ", ".join(token.label for token in tokens))
        self._lost_tokens = len(tokens)

    async def _wake_from_absence(self, now: float) -> None:
        """Redis was gone or is another one, or we were frozen: some jobs may be others' by now."""
        self._present_since = now
        # First those that we know: one that is dispatched meanwhile is ours.
        runs = list(self._runs.items())
        owned = await self.queue.owned()
        for job, run in runs:
            if job not in owned:
                run.stop(Stop.REASSIGNED)

    async def _cut_the_uncounted(self) -> None:
        """End calls before Redis stops counting them: their slots would be given away."""
        if time.monotonic() - self._last_beat > GRANT_LIFE - GRANT_RESERVE:
            for run in list(self._runs.values()):
                run.stop(Stop.DRAIN)

    def _report(self) -> WorkerReport:
        now = time.monotonic()
        return WorkerReport(
            self.name,
            self._version,
            self.pool.counts(now),
            len(self._runs),
            self.pool.capacity(now),
            self.pool.well_others(now),
            self._lost_tokens,
        )

    async def _learn_states(self, tokens: list[PoeToken]) -> None:
        now = time.monotonic()
        for token_id, state in (await self.queue.states(tokens)).items():
            self.pool.learn(token_id, state, now)

    async def _listen(self) -> None:
        async with self.queue.cancellations() as ids:
            for job in await self.queue.cancelled(self._runs):
                if run := self._runs.get(job):
                    run.stop(Stop.CLIENT_LEFT)
            async for job in ids:
                if run := self._runs.get(job):
                    run.stop(Stop.CLIENT_LEFT)

    async def _return_orphans(self) -> None:
        """Hand back jobs that were dispatched to us in a reply that never came."""
        for job, epoch in await self.queue.orphans(self._runs.keys()):
            await self.queue.return_orphan(job, epoch)

    async def _look_at_the_parked(self) -> None:
        """See by its balance, which costs nothing, whether a token can come back already."""
        now = time.monotonic()
        for token in self.pool.parked(now):
            every = token_penalties.look_every(self.pool.state(token.id))
            if now - self._looked.get(token.id, -every) < every:
                continue
            self._looked[token.id] = now
            try:
                points = await self._poe.balance(token.secret)
            except Fault:
                continue
            await self.queue.note_balance(token, points)
            if points > 0:
                _log.warning("%s is well again, with %d points", token.label, points)
                self.pool.unpark(token.id)
                await self.queue.release(token, "", used=True, note=TokenUpdate(park=-1))
                self._changed.set()


def new_name() -> str:
    """A name that no worker has had before; in a container it tells which."""
    return f"{socket.gethostname()}-{token_hex(4)}"
