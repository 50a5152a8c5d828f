"""The calls of a worker about jobs: take them, append to their answers, give them back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import msgspec

from contract.budgets import SHORT
from contract.calls.call import Call, Word, milliseconds, words_of
from contract.codec import decode_job, encode
from contract.ledger import Cost
from contract.lifetimes import ANSWER_LIFE
from contract.messages import Failed, Job, Record, WorkerReport, is_output, is_terminal

NO_LIMITS: Mapping[str, int] = MappingProxyType({})
NO_COSTS: Mapping[str, Cost] = MappingProxyType({})

APPENDED, ABANDONED, STALE = 0, 1, 2
"""Verdicts on a record: it is in the log; it is, and its client has left; its job was given to
another worker, and it is not."""


class Dispatched(msgspec.Struct, frozen=True):
    """A job that was dispatched to this worker."""

    job: Job
    epoch: int
    attempt: int
    waited: float
    """Seconds between its arrival and the dispatch."""
    tried: frozenset[str]
    """Tokens that have already failed it in their own right."""
    failures: int = 0
    """Attempts that the upstream has failed."""
    keyed: bool = False
    """Whether it has an idempotency key."""


class Unreadable(msgspec.Struct, frozen=True):
    """A job that was dispatched to this worker, written by a gateway of another version."""

    job: str
    epoch: int
    error: str


class Dispatch(Call[list[Dispatched | Unreadable]], frozen=True, kw_only=True):
    """Take up to `count` jobs in fair order; of the models in `room`, no more than it says."""

    script: ClassVar[str] = "dispatch"

    worker: str
    count: int
    too_late: Failed
    """What ends a job that has waited too long."""
    room: Mapping[str, int] = NO_LIMITS
    answer_life: float = ANSWER_LIFE

    def arguments(self) -> list[Word]:
        life = milliseconds(self.answer_life)
        return [self.worker, self.count, life, _events(self.too_late), SHORT, *words_of(self.room)]

    def read(self, reply: Any) -> list[Dispatched | Unreadable]:
        return [_dispatched(row) for row in reply]


def _dispatched(row: Sequence[Any]) -> Dispatched | Unreadable:
    payload, epoch, attempt, waited, tried, failures, keyed, name = row
    try:
        # All choices of a request share its payload, which names the first.
        job = msgspec.structs.replace(decode_job(payload), id=name.decode())
    except msgspec.DecodeError as error:
        return Unreadable(name.decode(), epoch, str(error))
    tokens = frozenset(filter(None, tried.decode().split(",")))
    return Dispatched(job, epoch, attempt, max(waited, 0) / 1000, tokens, failures, bool(keyed))


class CallNote(msgspec.Struct, frozen=True):
    """How far a job's call has come since the last note."""

    job: str
    epoch: int
    sent: float | None = None
    """When it was sent, by Redis's clock in milliseconds, or before. None: nothing new."""
    answered: bool = False
    """Whether Poe has answered it with 200."""


class Append(Call[list[int]], frozen=True):
    """Append to the logs of jobs, and tell their gateways. Returns a verdict on each record."""

    script: ClassVar[str] = "append"

    records: Sequence[Record]
    notes: Sequence[CallNote] = ()
    costs: Mapping[str, Cost] = NO_COSTS
    """What jobs have cost whose last record is among these, as far as their worker knows."""
    answer_life: float = ANSWER_LIFE

    def arguments(self) -> list[Word]:
        words: list[Word] = [milliseconds(self.answer_life), len(self.notes)]
        for note in self.notes:
            sent = "" if note.sent is None else note.sent
            words += (note.job, note.epoch, sent, int(note.answered))
        for record in self.records:
            words += (record.job, record.epoch, record.seq, self._mark(record), encode(record))
        return words

    def _mark(self, record: Record) -> Word:
        last = record.events[-1]
        if not is_terminal(last):
            return mark(record)
        outcome = last.kind if isinstance(last, Failed) else "finished"
        return b"%d%b" % (mark(record), encode((outcome, self.costs.get(record.job))))

    def read(self, reply: Any) -> list[int]:
        verdicts: list[int] = reply
        return verdicts


def mark(record: Record) -> int:
    """Return what a record is to its job; see append.lua."""
    last = record.events[-1]
    if is_terminal(last):
        return 3 if isinstance(last, Failed) and not last.charged else 2
    return int(is_output(last) or any(map(is_output, record.events)))


class Requeue(Call[bool], frozen=True, kw_only=True):
    """Return a job without output to its place in the queue; False: it is not ours any longer.

    A job with output, whose end Redis has lost, is ended.
    """

    script: ClassVar[str] = "requeue"

    worker: str
    job: str
    epoch: int
    interrupted: Failed
    """What ends a job with output."""
    delay: float = 0.0
    """Seconds before it may be dispatched again."""
    tried: Iterable[str] | None = ()
    """Tokens that have failed it. None: what was noted counts, as we do not know the job."""
    failures: int = 0
    """Attempts that the upstream has failed."""
    to_others: bool = False
    """Whether another worker should get it first, as this one has no token left for it."""
    answer_life: float = ANSWER_LIFE

    def arguments(self) -> list[Word]:
        return [
            self.worker,
            self.job,
            self.epoch,
            milliseconds(self.delay),
            "-" if self.tried is None else ",".join(self.tried),
            milliseconds(self.answer_life),
            self.worker if self.to_others else "",
            self.failures,
            _events(self.interrupted),
        ]

    def read(self, reply: Any) -> bool:
        return bool(reply)


class NoteCall(Call[bool], frozen=True):
    """Note how far a job's call to the upstream has come, should this worker die.

    `failed`: it has ended so that the job may be asked again. Returns False where the job is not
    ours any longer, or its client has left.
    """

    script: ClassVar[str] = "note_call"

    job: str
    epoch: int
    stage: Literal["sent", "answered", "failed"]
    tried: Iterable[str] = ()
    """With `failed`: the tokens that have failed the job."""
    failures: int = 0
    """With `failed`: the attempts that the upstream has failed."""

    def arguments(self) -> list[Word]:
        if self.stage == "failed":
            return [self.job, self.epoch, "", ",".join(self.tried), self.failures]
        return [self.job, self.epoch, self.stage]

    def read(self, reply: Any) -> bool:
        return bool(reply)


class WorkerHeartbeat(Call[dict[str, int]], frozen=True, kw_only=True):
    """Count as alive, and share out the batches of tokens.

    Returns the batches that the worker holds now, with their fences.
    """

    script: ClassVar[str] = "worker_heartbeat"

    worker: str
    lease_life: float
    """Seconds for which the worker counts as alive and holds its batches."""
    report: WorkerReport
    batches: Collection[str] = ()
    """All that the worker knows of."""
    leaving: bool = False
    """Whether it drains, and lets its batches go."""

    def arguments(self) -> list[Word]:
        life, report = milliseconds(self.lease_life), encode(self.report)
        return [self.worker, life, int(self.leaving), report, *self.batches]

    def read(self, reply: Any) -> dict[str, int]:
        return {batch.decode(): fence for batch, fence in reply}


class Reclaim(Call[list[str]], frozen=True, kw_only=True):
    """Free what dead workers and gateways have left. Returns the workers found dead."""

    script: ClassVar[str] = "reclaim"

    max_deaths: int | None
    """Workers that may die of one job; None, from a gateway: as many as a worker said last."""
    interrupted: Failed
    """What ends a job that had begun."""
    deadly: Failed
    """What ends a job that workers died of."""
    too_late: Failed
    """What ends a job that has waited too long."""
    answer_life: float = ANSWER_LIFE

    def arguments(self) -> list[Word]:
        events = (_events(end) for end in (self.interrupted, self.deadly, self.too_late))
        return [self.max_deaths or "", milliseconds(self.answer_life), *events]

    def read(self, reply: Any) -> list[str]:
        return [worker.decode() for worker in reply]


def _events(end: Failed) -> bytes:
    return encode((end,))
