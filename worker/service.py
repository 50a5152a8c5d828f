"""One worker process: what runs in it, and how it drains."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from collections.abc import Awaitable, Callable, Collection
from secrets import token_hex

from contract.calls.worker import Dispatched
from contract.config import ModelSettings, merged, model_settings
from contract.lifetimes import GRANT_LIFE
from contract.messages import Model, WorkerReport
from runtime import tasks
from store.faults import RedisFault
from worker.account_points import AccountPoints
from worker.alerts import Alerts
from worker.calls import Calls
from worker.checker import Checker
from worker.config import FIXED, PoeToken, WorkerConfig
from worker.emitter import Emitter
from worker.heartbeat import Heartbeat
from worker.intake import Intake
from worker.learned import Learned
from worker.models import Models
from worker.poe.client import PoeClient
from worker.policy.leases import Leases
from worker.policy.run_state import Stop
from worker.policy.token_pool import TokenPool
from worker.queue import Queue
from worker.reconciler import Reconciler
from worker.run import JobRun
from worker.stored_tokens import StoredTokens
from worker.token_reports import TokenReports
from worker.token_watch import TokenWatch

_log = logging.getLogger("worker")

FIRST_CATALOGUE = 5.0
"""Seconds for which the first jobs wait for the catalogue, which says how to ask for them."""

GRANT_RESERVE = 10.0
"""Seconds before a grant's end at which its call is cut, should Redis not have heard of us."""

ENDING_TIME = 5.0
"""Seconds in which the jobs of a worker that must stop have to be ended in Redis."""

LOOK_FOR_ALERTS = 2.0
"""Seconds between two looks whether a budget is spent."""

REPORT_PAUSE = 2.0
"""Seconds after which a worker tells of its tokens what has changed."""

FAULT_PAUSE = 0.5
"""Seconds before a loop that Redis has failed goes on."""


class Service:
    """One worker process."""

    def __init__(self, config: WorkerConfig, queue: Queue, poe: PoeClient, version: str) -> None:
        self.name = queue.worker
        self.queue = queue
        self.simulate_roles = config.simulate_roles
        self.unused_upstreams: Collection[str] = config.unused_upstreams
        self.pool = TokenPool(config.tokens)
        self.leases = Leases((t.account for t in config.tokens), life=config.lease_life)
        self.checker = Checker()
        self.emitter = Emitter(queue.jobs.append)
        self.models = Models(queue.catalogue, poe)
        self.learned = Learned()
        self._config = config
        self._version = version
        self._runs: dict[str, JobRun] = {}
        self._intake = Intake(
            queue.jobs,
            self.pool,
            start=self._start,
            running=self._runs.keys(),
            learn_of_others=self.learn_of_others,
            lease_life=config.lease_life,
        )
        tokens_changed = self._intake.tokens_changed
        self.calls = Calls(
            queue,
            self.pool,
            self.leases,
            poe,
            guard=config.connect_timeout + 0.5,
            on_free=tokens_changed,
        )
        self._heartbeat = Heartbeat(
            queue,
            self.pool,
            self.leases,
            self.calls,
            lease_life=config.lease_life,
            report=self._report,
            on_absence=self._stop_reassigned,
            on_beat=tokens_changed,
        )
        self._watch = TokenWatch(
            config.tokens, queue, self.pool, self.leases, poe, on_free=tokens_changed
        )
        self._reconciler = Reconciler(
            queue.reconciliations,
            AccountPoints(poe, queue.tokens, queue.reconciliations.now),
            self.models,
            self.leases,
            config.tokens,
            every=config.reconcile_every,
        )
        self._reports = TokenReports(queue, self.pool, self.leases)
        self._stored = StoredTokens(config, queue, self._use_tokens)
        self._alerts = Alerts(queue.alerts, config)
        self._is_draining = False
        self._hurried = False

    def setting(self, name: str, model: Model | None) -> ModelSettings:
        """What is configured for a model, by any of the upstream's names for it."""
        names = (name,) if model is None else (name, model.display_name, model.id)
        return model_settings(self._config.models, *names)

    def configure(self, config: WorkerConfig) -> None:
        """Take other settings, but for those that need a restart."""
        self._config, unchanged = merged(self._config, config, FIXED)
        self.simulate_roles = self._config.simulate_roles
        self.unused_upstreams = self._config.unused_upstreams
        self._stored.configure(self._config)
        self._alerts.configure(self._config)
        self._intake.tokens_changed()
        _log.info(
            "new settings",
            extra={
                "tokens": len(self._config.tokens),
                "needs_restart": ", ".join(unchanged) or None,
            },
        )

    async def learn_of_others(self) -> None:
        """Learn what the workers that own them know of the tokens that we do not."""
        await self._heartbeat.learn_of_others()

    def drain(self) -> None:
        """Take nothing new; `run` returns when what runs has ended."""
        self._is_draining = True
        self._intake.close()

    def hurry(self) -> None:
        """Drain, and end what runs now."""
        self._hurried = True
        self._stop_all()
        self.drain()

    async def run(self) -> None:
        """Serve until drained. Raises what no retry can mend."""
        emitting = asyncio.create_task(self.emitter.run())
        serving = asyncio.create_task(self._serve())
        lease_life = self._config.lease_life
        background = [
            asyncio.create_task(loop)
            for loop in (
                self._repeat(self._beat, lease_life / 3),
                self._repeat(self._stop_cancelled, 0.0),
                self._repeat(self._stop_uncounted, 1.0),
                self._repeat(self.models.keep, 0.0),
                self._repeat(self._watch.look_at_parked, 5.0),
                self._repeat(self._reports.report, REPORT_PAUSE),
                self._repeat(self._alerts.deliver, LOOK_FOR_ALERTS),
                self._repeat(self._watch.look_for_unowned, max(lease_life, 5.0)),
            )
        ]
        if self._config.reconcile_every:
            background.append(asyncio.create_task(self._repeat(self._reconciler.keep, 0.0)))
        try:
            await asyncio.wait({emitting, serving}, return_when=asyncio.FIRST_COMPLETED)
            await (serving if serving.done() else emitting)
        finally:
            # Runs whose end nobody takes: Redis is gone, or the emitter is.
            await tasks.end(self._tasks())
            await tasks.end([*background, emitting, serving])
            await self.checker.close()

    async def _serve(self) -> None:
        await self.models.settled(FIRST_CATALOGUE)
        await self._intake.run()
        await self._finish_jobs()

    async def _repeat(self, step: Callable[[], Awaitable[None]], pause: float) -> None:
        while True:
            try:
                await step()
            except RedisFault as fault:
                _log.warning("Redis: %s", fault)
                await asyncio.sleep(FAULT_PAUSE)
            except Exception:
                # A worker without heartbeats or cancellations would fail everyone in silence.
                _log.exception("a step failed by our own fault")
                await asyncio.sleep(FAULT_PAUSE)
            # Workers that started together must not beat together.
            await asyncio.sleep(pause * random.uniform(0.9, 1.0))  # noqa: S311

    def _start(self, dispatched: Dispatched, token: PoeToken) -> None:
        job = dispatched.job.id
        run = JobRun(self, dispatched)
        self._runs[job] = run
        run.task = asyncio.create_task(run.run(token))

        def ended(_: object) -> None:
            # The job may be here again already, in a run of its own.
            if self._runs.get(job) is run:
                del self._runs[job]
            self._intake.tokens_changed()

        run.task.add_done_callback(ended)

    async def _finish_jobs(self) -> None:
        """Let what runs run on for `drain_timeout`, then stop it."""
        _log.info("draining: %d jobs still run", len(self._runs))
        await self._heartbeat.say_goodbye()
        await self._until_ended(self._config.drain_timeout, unless_hurried=True)
        self._stop_all()
        await self._until_ended(ENDING_TIME)
        await self.calls.settled(ENDING_TIME)
        await self._heartbeat.say_goodbye()

    async def _until_ended(self, seconds: float, *, unless_hurried: bool = False) -> None:
        give_up = time.monotonic() + seconds
        while self._runs and time.monotonic() < give_up:
            if unless_hurried and self._hurried:
                return
            await asyncio.wait(self._tasks(), timeout=1.0)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [run.task for run in self._runs.values() if run.task]

    def _stop_all(self) -> None:
        for run in list(self._runs.values()):
            run.stop(Stop.DRAIN)

    async def _beat(self) -> None:
        tokens_changed = await self._stored.refresh()
        await self._heartbeat.beat(leaving=self._is_draining)
        if tokens_changed:
            # Some may have been parked or unparked by hand.
            await self._heartbeat.learn_of_all()
            self._intake.tokens_changed()

    def _use_tokens(self, tokens: tuple[PoeToken, ...]) -> None:
        self.pool.configure(tokens)
        self.leases.configure(token.account for token in tokens)
        self._watch.tokens = tokens
        self._reconciler.tokens = tokens

    async def _stop_reassigned(self) -> None:
        # First those that we know: a job that is dispatched meanwhile is ours.
        runs = list(self._runs.items())
        owned = await self.queue.jobs.owned()
        for job, run in runs:
            if job not in owned:
                run.stop(Stop.REASSIGNED)

    async def _stop_uncounted(self) -> None:
        """Stop calls before Redis counts them no longer: their slots would be given away."""
        if time.monotonic() - self._heartbeat.last > GRANT_LIFE - GRANT_RESERVE:
            self._stop_all()

    async def _stop_cancelled(self) -> None:
        """Stop the runs of clients that leave."""
        async with self.queue.jobs.cancellations() as ids:
            for job in await self.queue.jobs.cancelled(self._runs):
                self._stop_for_client(job)
            async for job in ids:
                self._stop_for_client(job)

    def _stop_for_client(self, job: str) -> None:
        if run := self._runs.get(job):
            run.stop(Stop.CLIENT_LEFT)

    def _report(self) -> WorkerReport:
        now = time.monotonic()
        return WorkerReport(
            self.name,
            self._version,
            self.pool.counts(now),
            len(self._runs),
            self.pool.capacity(now),
            self.pool.well_others(now),
            self._watch.unowned,
            self._config.lease_life,
        )


def new_name() -> str:
    """Return a name that no worker has had before; in a container it says which."""
    return f"{socket.gethostname()}-{token_hex(4)}"
