"""Runs one job: attempt after attempt, until it has ended or must go back to the queue.

`JobRun.run` is the worker's error boundary: whatever goes wrong there ends the job with a `Failed`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from contextlib import suppress
from typing import Literal, Protocol

import msgspec

from contract.calls.worker import Dispatched
from contract.config import ModelSettings
from contract.messages import Failed, FailureKind, Job, Model, Started
from store.faults import RedisFault
from worker.calls import Calls, Listener, ShortOfPoints, Unavailable
from worker.checker import Checker
from worker.config import PoeToken
from worker.delivery import Delivery
from worker.emitter import Emitter, Outbox
from worker.learned import Learned
from worker.models import Models
from worker.poe.client import NotSent
from worker.poe.faults import Fault, FaultKind, Reach
from worker.poe.parameters import thinks
from worker.poe.raw_json import Path
from worker.poe.refused import OF_JOB
from worker.poe.upstream import Ask, Upstream
from worker.policy.history import History
from worker.policy.retry import CORRECTED, Step, decide, runs_again
from worker.policy.route import emulates_tools, fallback, instead, route
from worker.policy.run_state import Phase, RunState, Stop
from worker.policy.spending import Spending
from worker.policy.token_pool import TokenPool
from worker.queue import Queue
from worker.shaping import Shaping, correction, instructed

_log = logging.getLogger("worker.run")

SHORT_PAUSE = 0.5
"""Seconds before a job looks again whether it has points for another call."""

FAULT_PAUSE = 0.5
"""Seconds before a job is requeued again, after Redis has failed."""

MOST_LESSONS = 8
"""Calls of one run that may be refused for what the next one leaves out."""

LONGEST_PAUSE = 1.0
"""Seconds for which a requeued job may be out of everybody's reach until a token of ours is
ready."""

LONGEST_SLEEP = 5.0
"""Seconds for which a job waits here before its next attempt; for longer it is requeued."""

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
    learned: Learned
    simulate_roles: Literal[0, 1, 2]
    unused_upstreams: Collection[str]

    def setting(self, name: str, model: Model | None) -> ModelSettings:
        """What is configured for a model, by any of the upstream's names for it."""

    async def learn_of_others(self) -> None:
        """Learn what the workers that own them know of the tokens that we do not."""


class Requeue(Exception):
    """This worker cannot go on with the job now; another may, or it may later."""

    def __init__(self, *, pause: float = 0.0, to_others: bool = False) -> None:
        super().__init__()
        self.pause = pause
        self.to_others = to_others


class JobRun:
    """One job on this worker."""

    def __init__(self, worker: Worker, dispatched: Dispatched) -> None:
        job = dispatched.job
        self.task: asyncio.Task[None] | None = None
        self._worker = worker
        self._dispatched = dispatched
        self._job = job
        self._state = RunState()
        self._history = History(dispatched.tried, dispatched.failures, keyed=dispatched.keyed)
        self._model = worker.models.find(job.model)
        self._setting = worker.setting(job.model, self._model)
        self._upstream = route(
            job, self._model, self._setting, self._history.tried, unused=worker.unused_upstreams
        )
        self._outbox = Outbox(worker.emitter, job.id, dispatched.epoch, self._on_stop)
        price = self._model.price if self._model else None
        self._spending = Spending(price, dispatched.tried)
        self._delivery = Delivery(self._outbox, self._state, worker.checker, self._spending)
        self._token: PoeToken | None = None
        self._attempt = dispatched.attempt - 1
        self._reach = Reach.UNSENT
        """How far the present call has come."""
        self._without: frozenset[Path] = frozenset()
        self._without_here: frozenset[Path] = frozenset()
        """What the present call leaves out, because the model refuses it."""
        self._lessons = 0

    def stop(self, reason: Stop) -> None:
        """Stop the run, as soon as it can be."""
        if self._state.request_stop(reason) and self.task is not None:
            self.task.cancel()

    def _on_stop(self, reassigned: bool) -> None:
        self.stop(Stop.REASSIGNED if reassigned else Stop.CLIENT_LEFT)

    async def run(self, token: PoeToken) -> None:
        """See the job through, first with `token`, which the pool has acquired for it."""
        self._state.reach(Phase.ASKING)
        began = time.monotonic()
        outcome = await self._outcome(token)
        _log.info(
            "attempt",
            extra={
                "fields": {
                    "job": self._job.id,
                    "model": self._job.model,
                    "token": self._token.label if self._token else None,
                    "upstream": self._upstream.name,
                    "attempt": self._attempt,
                    "queue_wait": round(self._dispatched.waited, 3),
                    "duration": round(time.monotonic() - began, 3),
                    "outcome": outcome,
                }
            },
        )

    async def _outcome(self, token: PoeToken) -> str:
        failed: Failed | None = None
        try:
            await self._until_answered(await self._suitable(token))
            # The stream's own last event has ended the job.
        except Requeue as requeue:
            return await self._requeue(requeue)
        except asyncio.CancelledError:
            if self._state.stop is Stop.DRAIN and runs_again(self._reach, self._history.past):
                self._history.note_given_up(self._reach)
                return await self._requeue(Requeue())
            failed = _DRAINED if self._state.stop is Stop.DRAIN else _LEFT
        except Fault as fault:
            failed = self._history.failure(fault)
        except ShortOfPoints as short:
            failed = Failed(FailureKind.NO_POINTS, short.why, charged=True)
        except Exception:
            _log.exception("a job failed by our own fault", extra={"job": self._job.id})
            failed = self._our_fault()
        if self._state.stop is Stop.REASSIGNED:
            return "stale"
        if failed is not None:
            self._delivery.end(failed)
        await self._outbox.closed()
        return failed.kind if failed else "ok"

    def _our_fault(self) -> Failed:
        has_called = self._attempt >= self._dispatched.attempt
        charged = self._history.may_be_charged or has_called
        return msgspec.structs.replace(_OUR_FAULT, charged=charged)

    async def _requeue(self, requeue: Requeue) -> str:
        self._state.reach(Phase.ENDED)
        while True:
            try:
                await self._worker.queue.jobs.requeue(
                    self._job.id,
                    self._dispatched.epoch,
                    pause=requeue.pause,
                    tried=self._history.tried,
                    failures=self._history.upstream_failures,
                    to_others=requeue.to_others,
                )
            except RedisFault as fault:
                _log.warning("cannot requeue a job yet: %s", fault)
                await asyncio.sleep(FAULT_PAUSE)
            else:
                return "requeued"

    async def _suitable(self, token: PoeToken) -> PoeToken:
        """Exchange a token that cannot serve this job for one that may."""
        pool = self._worker.pool
        if self._state.stop is not None:
            pool.cancel(token)
            raise asyncio.CancelledError
        is_untried = token.id not in self._history.tried
        if is_untried and pool.suits(token, self._job.model, time.monotonic()):
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
        if self._has_untried(owned_only=True):
            return False
        # Before others get it: they may know already that theirs cannot serve it either.
        with suppress(*RedisFault):
            await self._worker.learn_of_others()
        return not self._has_untried()

    def _has_untried(self, *, owned_only: bool = False) -> bool:
        return self._worker.pool.untried(
            time.monotonic(),
            model=self._job.model,
            tried=self._history.tried,
            owned_only=owned_only,
        )

    async def _until_answered(self, token: PoeToken) -> None:
        while True:
            self._token = token
            job = await self._prepared(token)
            try:
                await self._call(job, token)
                await self._delivery.finish_checks()
            except ShortOfPoints as short:
                if short.why:
                    raise
                raise Requeue(pause=SHORT_PAUSE) from None
            except (Unavailable, NotSent, *RedisFault):
                if self._state.phase > Phase.ASKING:
                    raise
                raise Requeue from None
            except Fault as fault:
                token = await self._after(fault, token)
            else:
                if self._is_answered():
                    return
                token = self._untried_token()

    async def _call(self, job: Job, token: PoeToken) -> None:
        await self._worker.calls.make(
            job,
            self._dispatched.epoch,
            token,
            self._listener(),
            upstream=self._upstream,
            model=self._model,
            simulate_roles=self._worker.simulate_roles,
            without=self._without,
        )

    def _listener(self) -> Listener:
        return Listener(
            on_start=self._on_start,
            on_sent=self._outbox.note_sent,
            on_reach=self._on_reach,
            on_events=self._delivery.take,
            drained=self._outbox.drained,
            has_ended=lambda: self._state.phase is Phase.ENDED,
        )

    async def _prepared(self, token: PoeToken) -> Job:
        """Word the job for the next call, and make ready for the answer."""
        try:
            self._reach = Reach.UNSENT
            learned = self._worker.learned.refused(self._upstream.name, self._job.model)
            self._without = learned | self._without_here
            emulate = emulates_tools(self._job, self._upstream, self._model, self._setting)
            self._delivery.begin(
                self._shaping(emulate_tools=emulate), is_last_try=self._history.is_corrected
            )
            if self._upstream.is_native:
                return self._job
            mismatch = self._delivery.mismatch
            # A model that has not kept to the field may keep to words.
            has_field = self._upstream.has_formats and mismatch is None
            job = await self._instructed(emulate_tools=emulate, has_format_field=has_field)
            return correction(job, mismatch) if mismatch else job
        except BaseException:
            self._worker.pool.cancel(token)
            raise

    def _shaping(self, *, emulate_tools: bool) -> Shaping:
        if self._upstream.is_native:
            return Shaping.none()
        return Shaping(
            self._upstream.unkept(self._job.options),
            emulate_tools=emulate_tools,
            thinks=thinks(self._model),
            streams_json=self._upstream.has_formats and self._job.stream,
        )

    async def _instructed(self, *, emulate_tools: bool, has_format_field: bool) -> Job:
        if emulate_tools:
            # It writes all calls of the past anew, of which there may be very many.
            return await asyncio.to_thread(instructed, self._job, emulate_tools=True)
        return instructed(self._job, emulate_tools=False, has_format_field=has_format_field)

    def _on_start(self) -> None:
        self._attempt += 1
        label, waited = self._token.label if self._token else "", self._dispatched.waited
        started = Started(self._worker.name, self._attempt, self._job.model, label, waited)
        self._delivery.put((started,))

    def _on_reach(self, reach: Reach) -> None:
        self._reach = reach
        self._history.note_reach(reach)
        self._spending.reach(reach)
        if reach is Reach.ANSWERED:
            self._outbox.note_answered()

    def _is_answered(self) -> bool:
        """Return whether nothing more is to be asked."""
        if self._state.phase is Phase.ENDED:
            return True
        if self._delivery.mismatch is None:
            raise RuntimeError("the answer has no end")
        self._history.note(CORRECTED)
        self._spending.end_call()
        return False

    async def _after(self, fault: Fault, token: PoeToken) -> PoeToken:
        """Return the token for the next attempt, or raise what ends this run."""
        self._history.note_cost(fault)
        self._spending.end_call(fault)
        if self._learns(fault) or self._changes_upstream(fault):
            await self._settle()
            return self._untried_token()
        self._history.note_fault(fault, token.id)
        decision = decide(fault, self._history.past)
        if decision.step is Step.FAIL:
            raise fault
        if decision.once:
            self._history.note(decision.once)
        if fault.reach is Reach.REFUSED:
            tried = self._history.tried
            self._change_to(
                instead(self._upstream, fault, self._job, self._model, self._setting, tried=tried)
            )
        await self._settle()
        if decision.pause > LONGEST_SLEEP:
            raise Requeue(pause=decision.pause)
        await asyncio.sleep(decision.pause)
        if await self._is_hopeless():
            raise fault
        return self._untried_token()

    def _learns(self, fault: Fault) -> bool:
        """Note what the model has refused; return whether to ask again without it."""
        if fault.kind is not FaultKind.BAD_REQUEST or fault.reach is not Reach.REFUSED:
            return False
        ask = Ask(self._job, self._model, without=self._without)
        refused = self._upstream.refused(ask, fault.message) - self._without
        self._lessons += bool(refused)
        if not refused or self._lessons > MOST_LESSONS:
            return False
        own = frozenset(path for path in refused if path[0] == OF_JOB)
        self._without_here |= own
        self._worker.learned.note(self._upstream.name, self._job.model, refused - own)
        return True

    def _changes_upstream(self, fault: Fault) -> bool:
        """Change to another upstream if that may help; return whether it may."""
        if fault.reach is Reach.BEGUN:
            return False
        tried = self._history.tried
        other = fallback(self._upstream, fault, self._job, self._model, self._setting, tried=tried)
        return self._change_to(other)

    def _change_to(self, other: Upstream | None) -> bool:
        if other is None:
            return False
        self._history.note(self._upstream.name)
        self._upstream = other
        self._without_here = frozenset()
        return True

    async def _settle(self) -> None:
        """Note that the job may be asked again, and what has failed it, should this worker die."""
        self._reach = Reach.UNSENT
        self._outbox.drop_notes()
        history = self._history
        try:
            await self._worker.queue.jobs.note_failed(
                self._job.id, self._dispatched.epoch, history.tried, history.upstream_failures
            )
        except RedisFault:
            raise Requeue from None

    def _untried_token(self) -> PoeToken:
        now, pool = time.monotonic(), self._worker.pool
        found = pool.acquire(now, model=self._job.model, tried=self._history.tried)
        if isinstance(found, PoeToken):
            return found
        is_here = self._has_untried(owned_only=True)
        # A free token that does not suit this job would bring it back here at once.
        pause = min(found.until - now, LONGEST_PAUSE) if is_here and pool.is_any_free(now) else 0.0
        raise Requeue(pause=pause, to_others=not is_here)
