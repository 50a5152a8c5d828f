"""Runs one job: attempt after attempt, until it has ended or must go back to the queue.

`JobRun.run` is the worker's error boundary: whatever goes wrong there ends the job with a `Failed`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from contract.calls.worker import Dispatched
from contract.config import ModelSettings
from contract.messages import (
    Event,
    Failed,
    FailureKind,
    Job,
    Model,
    Started,
    is_output,
    is_terminal,
)
from store.faults import RedisFault
from worker.calls import Calls, Unavailable
from worker.checker import Checker
from worker.config import PoeToken
from worker.emitter import Emitter, Outbox
from worker.models import Models
from worker.poe.answer import Flow
from worker.poe.client import NotSent
from worker.poe.faults import Blame, Fault, FaultKind, Reach, blame, to_failure
from worker.poe.parameters import thinks
from worker.poe.upstream import Upstream
from worker.policy.retry import CORRECTED, ONCE, UNHEARD, Past, Step, decide, runs_again
from worker.policy.route import emulates_tools, fallback, route
from worker.policy.token_pool import TokenPool
from worker.queue import Queue
from worker.shaping import Mismatch, Shaping, correction, instructed
from worker.shaping.checks import Check
from worker.shaping.pipeline import Steps
from worker.upstreams import UPSTREAMS

_log = logging.getLogger("worker.run")

FAULT_PAUSE = 0.5
"""Seconds before a job is handed back again, after Redis has failed."""

LONGEST_PAUSE = 1.0
"""Seconds for which a job may be out of everybody's reach until a token of ours is ready."""

LONGEST_SLEEP = 5.0
"""Seconds for which a job waits here before its next attempt; for longer it goes back."""

_LEFT = Failed(FailureKind.CANCELLED, "The client has left.")
_DRAINED = Failed(
    FailureKind.INTERRUPTED, "The answer was cut short: the worker had to stop.", charged=True
)
_OUR_FAULT = Failed(FailureKind.INTERNAL, "The request failed by a fault of the gateway's own.")


class Worker(Protocol):
    """What a run needs of the worker it runs on."""

    name: str
    queue: Queue
    pool: TokenPool
    calls: Calls
    checker: Checker
    emitter: Emitter
    models: Models
    simulate_roles: Literal[0, 1, 2]

    def setting(self, name: str, model: Model | None) -> ModelSettings:
        """What is configured for a model, by any of the upstream's names for it."""

    async def learn_of_others(self) -> None:
        """Learn what workers that own them know of the tokens that we do not."""


class Requeue(Exception):
    """This worker cannot go on with the job now; another may, or it may later."""

    def __init__(self, *, pause: float = 0.0, to_others: bool = False) -> None:
        super().__init__()
        self.pause = pause
        self.to_others = to_others


@dataclass
class JobRun:
    """One job on this worker."""

    worker: Worker
    taken: Dispatched
    outbox: Outbox = field(init=False)
    tried: set[str] = field(init=False)
    """What has failed the job: tokens in their own right, kinds of upstream, and what it has had
    of `ONCE`.

    All go with the job to the next worker, which so makes none of these calls again."""
    model: Model | None = field(init=False)
    setting: ModelSettings = field(init=False)
    upstream: Upstream = field(init=False)
    mismatch: Mismatch | None = field(init=False, default=None)
    """The answer that was not what was asked for, so that it is asked for once more."""
    unchecked: tuple[Steps, Check] | None = field(init=False, default=None)
    """The shaping of the answer's end, and the check that it waits for."""
    shaping: Shaping = field(init=False)
    """What is made of the events of the present call."""
    task: asyncio.Task[None] | None = None
    token: PoeToken | None = None
    attempt: int = 0
    begun: bool = False
    """Something of the answer is on its way to the client."""
    reach: Reach = Reach.UNSENT
    """How far the present call has come."""
    spent: bool = False
    """Poe may have charged for a call of this job."""
    stale: bool = False
    """The job is another worker's now."""
    draining: bool = False
    """The worker must stop, and this job with it."""
    ended: bool = False
    """Its last event, or the job itself, is on its way; nothing may follow."""
    running: bool = False
    stopped: bool = False
    upstream_failures: int = 0

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.worker.emitter, self.taken.job.id, self.taken.epoch, self.stop)
        self.tried = set(self.taken.tried)
        self.model = self.worker.models.find(self.taken.job.model)
        self.setting = self.worker.setting(self.taken.job.model, self.model)
        self.upstream = route(self.taken.job, self.model, self.setting, self.tried)
        self.attempt = self.taken.attempt - 1
        self.upstream_failures = self.taken.failures
        # Who asked for a correction has had an answer.
        self.spent = CORRECTED in self.tried

    def stop(self, stale: bool = False) -> None:
        """Stop: the client has left, or, if `stale`, the job was given to another worker."""
        self.stale = self.stale or stale
        self._cancel()

    def drain(self) -> None:
        """Stop because the worker does."""
        self.draining = True
        self._cancel()

    def _cancel(self) -> None:
        self.stopped = True
        # A task that is cancelled before its first step never gets to see it.
        if self.task is not None and self.running and not self.ended:
            self.task.cancel()

    async def run(self, token: PoeToken) -> None:
        """See the job through, first with `token`, which the pool has acquired for it."""
        self.running = True
        began = time.monotonic()
        outcome = await self._run(token)
        _log.info(
            "attempt",
            extra={
                "job": self.taken.job.id,
                "model": self.taken.job.model,
                "token": self.token.label if self.token else None,
                "upstream": self.upstream.name,
                "attempt": self.attempt,
                "queue_wait": round(self.taken.waited, 3),
                "duration": round(time.monotonic() - began, 3),
                "outcome": outcome,
            },
        )

    async def _run(self, token: PoeToken) -> str:
        end: Event | None = None
        try:
            await self._until_answered(await self._suitable(token))
            # The stream's own last event has ended the job.
        except Requeue as back:
            return await self._requeue(back)
        except asyncio.CancelledError:
            if self.draining and not self.stale and runs_again(self.reach, self._past()):
                if self.reach is Reach.SENT:
                    self.tried.add(UNHEARD)
                return await self._requeue(Requeue())
            end = _DRAINED if self.draining else _LEFT
        except Fault as fault:
            end = to_failure(fault, output=self.spent)
        except Exception:
            _log.exception("a job failed by our own fault", extra={"job": self.taken.job.id})
            called = self.attempt >= self.taken.attempt
            end = msgspec.structs.replace(_OUR_FAULT, charged=self.spent or called)
        if self.stale:
            return "stale"
        if end is not None and not self.ended:
            self._put([*(self.shaping.flush() if self.begun else ()), end])
        await self.outbox.closed()
        return end.kind if isinstance(end, Failed) else "ok"

    async def _requeue(self, back: Requeue) -> str:
        self.ended = True
        while True:
            try:
                await self.worker.queue.requeue(
                    self.taken.job.id,
                    self.outbox.epoch,
                    pause=back.pause,
                    tried=self.tried,
                    failures=self.upstream_failures,
                    to_others=back.to_others,
                )
            except RedisFault as fault:
                _log.warning("could not hand a job back yet: %s", fault)
                await asyncio.sleep(FAULT_PAUSE)
            else:
                return "handed back"

    async def _suitable(self, token: PoeToken) -> PoeToken:
        """Exchange a token that cannot serve this job for one that may."""
        now, model, pool = time.monotonic(), self.taken.job.model, self.worker.pool
        if self.stopped:
            pool.cancel(token)
            raise asyncio.CancelledError
        if token.id not in self.tried and pool.suits(token, model, now):
            return token
        try:
            if await self._is_hopeless():
                # There is no better one anywhere, and Poe says best why this one will not do.
                return token
        except BaseException:
            pool.cancel(token)
            raise
        pool.cancel(token)
        return self._untried_token()

    async def _is_hopeless(self) -> bool:
        """Return whether no token of any worker is left that may serve this job."""
        model, pool = self.taken.job.model, self.worker.pool
        if pool.untried(time.monotonic(), model=model, tried=self.tried, owned_only=True):
            return False
        # Before others get it: they may know already that theirs cannot serve it either.
        with suppress(*RedisFault):
            await self.worker.learn_of_others()
        return not pool.untried(time.monotonic(), model=model, tried=self.tried)

    async def _until_answered(self, token: PoeToken) -> None:
        while True:
            self.token = token
            job = await self._prepared(token)
            try:
                await self.worker.calls.make(
                    job,
                    self.taken.epoch,
                    token,
                    upstream=self.upstream,
                    model=self.model,
                    simulate_roles=self.worker.simulate_roles,
                    on_start=self._on_start,
                    on_reach=self._on_reach,
                    on_events=self._on_events,
                    passed_on=self.outbox.room,
                )
                await self._finish_checks()
            except (Unavailable, NotSent, *RedisFault):
                if self.begun:
                    raise
                raise Requeue from None
            except Fault as fault:
                token = await self._after(fault, token)
            else:
                if self._is_answered():
                    return
                token = self._untried_token()

    async def _prepared(self, token: PoeToken) -> Job:
        """Word the job for the next call, and make ready for the answer."""
        try:
            self.reach = Reach.UNSENT
            job = self.taken.job
            emulate = emulates_tools(job, self.upstream, self.model, self.setting)
            options = self.upstream.unkept(job.options)
            self.shaping = Shaping(options, emulate_tools=emulate, thinks=thinks(self.model))
            if emulate:
                # It writes all calls of the past anew, of which there may be very many.
                job = await asyncio.to_thread(instructed, job, emulate_tools=True)
            else:
                job = instructed(job, emulate_tools=False)
            return correction(job, self.mismatch) if self.mismatch else job
        except BaseException:
            self.worker.pool.cancel(token)
            raise

    def _on_start(self) -> None:
        taken, label = self.taken, self.token.label if self.token else ""
        self.attempt += 1
        self.outbox.put(
            (Started(self.worker.name, self.attempt, taken.job.model, label, taken.waited),)
        )

    def _on_reach(self, reach: Reach) -> None:
        self.reach = reach
        self.spent = self.spent or reach >= Reach.ANSWERED

    def _on_events(self, events: list[Event]) -> Flow:
        """Take what came; return whether the call is to go on."""
        if self.begun and self.shaping.passes(events):
            self.outbox.put(events)
            return Flow.WAIT if self.outbox.is_full else Flow.MORE
        steps = self.shaping.shape(events)
        try:
            # Whatever asks for a check asks at the answer's end, which can wait for the verdict.
            self.unchecked = steps, next(steps)
        except StopIteration as done:
            self._put(done.value)
            if not self.ended:
                return Flow.WAIT if self.outbox.is_full else Flow.MORE
        except Mismatch as mismatch:
            self._note_mismatch(mismatch)
        return Flow.ENOUGH

    async def _finish_checks(self) -> None:
        """Have the answer's end checked, if it asked for that."""
        if self.unchecked is None:
            return
        (steps, check), self.unchecked = self.unchecked, None
        try:
            self._put(await self.worker.checker.finish(steps, check))
        except Mismatch as mismatch:
            self._note_mismatch(mismatch)

    def _note_mismatch(self, mismatch: Mismatch) -> None:
        self.mismatch = mismatch
        # An answer in a wrong form gets one more try, if the client has seen nothing of it.
        if self.begun or CORRECTED in self.tried or mismatch.is_final:
            self._put(mismatch.end)

    def _put(self, events: Sequence[Event]) -> None:
        self.begun = self.begun or any(is_output(event) for event in events)
        self.ended = self.ended or any(is_terminal(event) for event in events)
        if events:
            self.outbox.put(events)

    def _is_answered(self) -> bool:
        """Tell whether nothing more is to be asked."""
        if self.ended:
            return True
        if self.mismatch is None:
            raise RuntimeError("the answer has no end")
        self.tried.add(CORRECTED)
        return False

    def _fails_over(self, fault: Fault) -> bool:
        """Change to another upstream if that may help; return whether it may."""
        if fault.reach is Reach.BEGUN or not self.tried.isdisjoint(UPSTREAMS):
            return False
        other = fallback(self.upstream, fault, self.taken.job, self.model, self.setting)
        if other is None:
            return False
        self.tried.add(self.upstream.name)
        self.upstream = other
        return True

    async def _after(self, fault: Fault, token: PoeToken) -> PoeToken:
        """Return the token for the next attempt, or raise what ends this run."""
        self.spent = to_failure(fault, output=self.spent).charged
        if self._fails_over(fault):
            await self._settle()
            return self._untried_token()
        blamed = blame(fault.kind)
        if blamed is Blame.UPSTREAM:
            self.upstream_failures += 1
        # A rate-limited account rests for a while, and may then serve this very job.
        elif fault.kind is not FaultKind.RATE_LIMITED or fault.in_band:
            self.tried.add(token.id)
        decision = decide(fault, self._past())
        if decision.step is Step.FAIL:
            raise fault
        if decision.once:
            self.tried.add(decision.once)
        await self._settle()
        if decision.pause > LONGEST_SLEEP:
            raise Requeue(pause=decision.pause)
        await asyncio.sleep(decision.pause)
        if await self._is_hopeless():
            raise fault
        return self._untried_token()

    def _past(self) -> Past:
        return Past(
            upstream_failures=self.upstream_failures,
            tokens_tried=len(self.tried - UPSTREAMS.keys() - ONCE),
            had=ONCE & self.tried,
            keyed=self.taken.keyed,
        )

    async def _settle(self) -> None:
        """Note that the job may be asked again, and what has failed it, should this worker die."""
        self.reach = Reach.UNSENT
        try:
            await self.worker.queue.settle(
                self.taken.job.id, self.outbox.epoch, self.tried, self.upstream_failures
            )
        except RedisFault:
            raise Requeue from None

    def _untried_token(self) -> PoeToken:
        now, model, pool = time.monotonic(), self.taken.job.model, self.worker.pool
        found = pool.acquire(now, model=model, tried=self.tried)
        if isinstance(found, PoeToken):
            return found
        here = pool.untried(now, model=model, tried=self.tried, owned_only=True)
        # A free token that does not suit this job would bring it back here at once.
        pause = min(found.until - now, LONGEST_PAUSE) if here and pool.is_any_free(now) else 0.0
        raise Requeue(pause=pause, to_others=not here)
