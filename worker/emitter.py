"""Writes the events of running jobs to Redis.

One task writes for all jobs, at most once in a tick of a few milliseconds, so what many jobs emit
at about the same time costs one write. What a client waits for goes out at once: the first output
of an answer, its end, and whatever comes after a tick without a write. What nobody waits for, the
start of an attempt and how far its call has come, goes with the next write, within a tick.

A write that fails because Redis is ailing is repeated as it was, for ever; the ids of its records
make that harmless. A record that cannot be written, or that Redis will never take, ends its job.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from contract.calls.worker import NO_COSTS, CallNote
from contract.ledger import Cost
from contract.messages import (
    Event,
    Failed,
    FailureKind,
    Reasoning,
    Record,
    Text,
    is_output,
    is_terminal,
)
from runtime.wakeup import Wakeup
from store.faults import RedisFault, is_transient
from worker.policy.backoff import pauses

_log = logging.getLogger("worker.emitter")

MAX_PENDING_EVENTS = 2000
"""Events of one job that may wait for Redis before the job stops reading from Poe."""

TICK = 0.005
"""Seconds between two writes, unless something urgent comes."""

AT_ONCE = 0.0
"""When an urgent write is due, on the loop's clock."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two tries of a write that fails."""

STALE = 2
"""The verdict on a record whose job was given to another worker."""


Write = Callable[[Sequence[Record], Sequence[CallNote], Mapping[str, Cost]], Awaitable[list[int]]]
"""Appends records, notes how far calls have come, and tells what jobs that end have cost.

Returns a verdict on each record."""

_REFUSED = Failed(FailureKind.INTERNAL, "The answer could not be passed on.", charged=True)


class Outbox:
    """The events of one job on their way to its log."""

    def __init__(
        self, emitter: Emitter, job: str, epoch: int, on_stop: Callable[[bool], None]
    ) -> None:
        self.job = job
        self.epoch = epoch
        self.on_stop = on_stop
        self.cost: Cost | None = None
        """What the job has cost, once its last event is pending."""
        self.ended = False
        """The last event is in the log, or never can be."""
        self._emitter = emitter
        self._seq = 0
        self._pending: list[Event] = []
        self._note: CallNote | None = None
        self._has_output = False
        self._changed = Wakeup()

    def put(self, events: Sequence[Event]) -> None:
        """Send these events, soon; the first output and the end at once."""
        self._pending.extend(events)
        had_output = self._has_output
        self._has_output = had_output or any(map(is_output, events))
        if had_output != self._has_output or is_terminal(events[-1]):
            self._emitter.wake(self, AT_ONCE)
        elif had_output:
            self._emitter.wake(self, self._emitter.next_tick)
        else:
            self._emitter.wake_soon(self)

    def note_sent(self, at: float) -> None:
        """Note that the job's call was sent, at `at` ms of Redis's clock or before."""
        self._note = CallNote(self.job, self.epoch, sent=at)
        self._emitter.wake_soon(self)

    def note_answered(self) -> None:
        """Note that Poe has answered the job's call with 200."""
        sent = self._note.sent if self._note else None
        self._note = CallNote(self.job, self.epoch, sent=sent, answered=True)
        self._emitter.wake_soon(self)

    def drop_notes(self) -> None:
        """Note nothing more of the call: it has ended, and the job may be asked again."""
        self._note = None

    @property
    def is_full(self) -> bool:
        """Return whether so much waits for Redis that no more may be read from Poe."""
        return len(self._pending) > MAX_PENDING_EVENTS and not self.ended

    async def drained(self) -> None:
        """Return when the outbox is no longer full."""
        while self.is_full:
            self._changed.clear()
            await self._changed.wait()

    async def closed(self) -> None:
        """Return when the last event is in the log, or when it is clear that it cannot be."""
        while not self.ended:
            self._changed.clear()
            await self._changed.wait()

    @property
    def has_pending(self) -> bool:
        """Return whether events wait for Redis."""
        return bool(self._pending)

    def take_note(self) -> CallNote | None:
        """Return what is to be noted of the job's call, once."""
        note, self._note = self._note, None
        return note

    def take(self) -> Record:
        """Return the pending events as the next record."""
        self._seq += 1
        record = Record(self.job, self.epoch, self._seq, _merged(self._pending))
        self._pending = []
        return record

    def settle(self, record: Record, verdict: int) -> None:
        """Note the verdict on a record."""
        if verdict == STALE or is_terminal(record.events[-1]):
            self.ended = True
        elif verdict:
            self.on_stop(False)
        if verdict == STALE:
            self.on_stop(True)
        self._changed.set()


class Emitter:
    """Writes for all jobs, in one task."""

    def __init__(self, append: Write) -> None:
        self._append = append
        self._dirty: dict[Outbox, None] = {}
        self._due = asyncio.Event()
        self.next_tick = 0.0
        """When the next write may be that is not urgent, on the loop's clock."""
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = math.inf
        """When the next write is due."""

    def wake(self, outbox: Outbox, at: float) -> None:
        """Write what this outbox has to send at this instant of the loop's clock, or before."""
        self._dirty[outbox] = None
        if at >= self._due_at:
            return
        self._due_at = at
        self._stop_timer()
        loop = asyncio.get_running_loop()
        if at <= loop.time():
            self._due.set()
        else:
            self._timer = loop.call_at(at, self._due.set)

    def wake_soon(self, outbox: Outbox) -> None:
        """Write what this outbox has to send within a tick."""
        self.wake(outbox, asyncio.get_running_loop().time() + TICK)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            self._stop_timer()
            self._due_at = math.inf
            self.next_tick = asyncio.get_running_loop().time() + TICK
            # A job that came back to us while its first run was ending has an outbox for each.
            open_, self._dirty = [outbox for outbox in self._dirty if not outbox.ended], {}
            notes = [note for outbox in open_ if (note := outbox.take_note())]
            dirty = [outbox for outbox in open_ if outbox.has_pending]
            records = [outbox.take() for outbox in dirty]
            costs = {outbox.job: outbox.cost for outbox in dirty if outbox.cost is not None}
            verdicts = []
            if records or notes:
                verdicts = await self._until_appended(records, notes, costs)
            for outbox, record, verdict in zip(dirty, records, verdicts, strict=True):
                outbox.settle(record, verdict)

    async def _until_appended(
        self,
        records: Sequence[Record],
        notes: Sequence[CallNote] = (),
        costs: Mapping[str, Cost] = NO_COSTS,
    ) -> list[int]:
        backoff = pauses(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                return await self._append(records, notes, costs)
            except RedisFault as fault:
                if not is_transient(fault):
                    return await self._each_alone(records, notes, costs, fault)
                _log.warning("cannot write to Redis, trying again: %s", fault)
                await asyncio.sleep(next(backoff))
            except (UnicodeError, OverflowError, TypeError, msgspec.MsgspecError) as fault:
                # Of encoding: without this guard one record would silence all jobs.
                return await self._each_alone(records, notes, costs, fault)

    async def _each_alone(
        self,
        records: Sequence[Record],
        notes: Sequence[CallNote],
        costs: Mapping[str, Cost],
        fault: BaseException,
    ) -> list[int]:
        """Find the records that can never be written, and end their jobs in their place."""
        if not records:
            _log.error("the notes of %d calls cannot be written: %s", len(notes), _told(fault))
            return []
        if notes:
            await self._until_appended((), notes)
        if len(records) > 1:
            return [(await self._until_appended([record], (), costs))[0] for record in records]
        (record,) = records
        # Not the fault's own words: those of encoding quote the answer.
        _log.error("a record of job %s cannot be written: %s", record.job, _told(fault))
        if record.events != (_REFUSED,):
            await self._until_appended(
                [msgspec.structs.replace(record, events=(_REFUSED,))], (), costs
            )
        return [STALE]


def _told(fault: BaseException) -> str:
    return str(fault) if isinstance(fault, RedisFault) else type(fault).__name__


def _merged(events: Sequence[Event]) -> tuple[Event, ...]:
    """Return the same answer in fewer events: a run of text becomes one."""
    if len(events) == 1:
        return (events[0],)
    merged: list[Event] = []
    for event in events:
        last = merged[-1] if merged else None
        if isinstance(event, Text) and isinstance(last, Text):
            merged[-1] = Text(last.text + event.text)
        elif isinstance(event, Reasoning) and isinstance(last, Reasoning):
            merged[-1] = Reasoning(last.text + event.text)
        else:
            merged.append(event)
    return tuple(merged)
