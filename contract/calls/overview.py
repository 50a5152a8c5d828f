"""The call of those who watch a deployment: who waits, what runs, and who is alive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from contract.calls.call import Call, Word
from contract.codec import decode_report
from contract.messages import TokenCounts, WorkerReport

MOST_CLIENTS, MOST_ANSWERS, MOST_ALIVE = 50, 100, 50
"""How much of each list is looked at. Redis serves nobody else meanwhile: 2 ms if all are full."""


class Waiting(msgspec.Struct, frozen=True):
    """A client with jobs in the queue, or with answers that run."""

    client: str
    name: str
    """As its key is called, or was when it asked; empty: not known."""
    group: str
    turn: float | None
    """When its next job starts, in virtual time. None: it has none that waits."""
    weight: float
    waiting: int
    """Jobs in its stream."""
    aside: int
    """Jobs that wait outside its stream, for a token that can serve them."""
    running: int
    gone: int
    """Jobs that have ever left its stream."""
    since: float | None
    """When the oldest job in its stream came, in seconds of Redis's clock."""


class Answer(msgspec.Struct, frozen=True):
    """A job that a worker runs. Times are in seconds of Redis's clock."""

    job: str
    worker: str
    client: str
    name: str
    group: str
    model: str
    """As its client named it, or, of an older gateway, as Poe calls it."""
    account: str
    """The label of the Poe token that it is asked with; empty: none yet."""
    asked: float
    dispatched: float | None
    sent: float | None
    """When its present call was allowed to leave."""
    attempt: int
    call: str
    """How far its present call has come: not sent (empty), `sent` or `answered`."""
    has_begun: bool
    """Whether something of the answer is there."""
    records: int
    """Pieces of the answer so far."""


class LivingWorker(msgspec.Struct, frozen=True):
    """A worker whose heartbeat has not lapsed."""

    id: str
    left: float
    """Seconds until it lapses."""
    report: WorkerReport | None
    """None: it drains, or is of a version that we cannot read."""
    running: int


class LivingGateway(msgspec.Struct, frozen=True):
    """A gateway whose heartbeat has not lapsed."""

    id: str
    left: float
    """Seconds until it lapses."""
    relayed: int
    """Answers that it relays."""


class Overview(msgspec.Struct, frozen=True):
    """One look. The lists may be parts of what there is."""

    at: float
    """Seconds of Redis's clock."""
    waiting: int
    """All jobs that wait, `aside` included."""
    aside: int
    dispatched: int
    """Jobs ever handed to workers."""
    queued_clients: int
    """Clients with jobs in a stream."""
    clients: tuple[Waiting, ...] = ()
    """In the order of their turns; those that only wait aside, or have only answers, come last."""
    workers: tuple[LivingWorker, ...] = ()
    gateways: tuple[LivingGateway, ...] = ()
    answers: tuple[Answer, ...] = ()

    @property
    def capacity(self) -> float:
        """Starts per second that the limits of all healthy tokens allow."""
        return sum(worker.report.capacity for worker in self.workers if worker.report)

    @property
    def tokens(self) -> TokenCounts:
        """The tokens of all workers, by what they can do now."""
        counts = [worker.report.tokens for worker in self.workers if worker.report]
        states = TokenCounts.__struct_fields__
        return TokenCounts(*(sum(getattr(each, state) for each in counts) for state in states))

    @property
    def running(self) -> int:
        """Answers that run, in all."""
        return sum(worker.running for worker in self.workers)


class ReadOverview(Call[Overview], frozen=True):
    """Look at the queue, at running answers, and at who is alive. It changes nothing."""

    script: ClassVar[str] = "overview"

    clients: int = MOST_CLIENTS
    answers: int = MOST_ANSWERS
    alive: int = MOST_ALIVE

    def arguments(self) -> list[Word]:
        return [self.clients, self.answers, self.alive]

    def read(self, reply: Any) -> Overview:
        now, waiting, aside, dispatched, queued, clients, workers, gateways, answers = reply
        return Overview(
            now / 1000,
            waiting,
            aside,
            dispatched,
            queued,
            tuple(map(_waiting, clients)),
            tuple(map(_worker, workers)),
            tuple(LivingGateway(id_.decode(), left / 1000, count) for id_, left, count in gateways),
            tuple(map(_answer, answers)),
        )


def _waiting(row: Sequence[bytes]) -> Waiting:
    client, turn, weight, waiting, aside, running, gone, *named = row
    name, group, since, then_named, then_grouped = named
    return Waiting(
        client.decode(),
        _setting(name) if name else _text(then_named),
        _setting(group) if name else _text(then_grouped),
        float(turn) if turn else None,
        float(weight or 1),
        int(waiting or 0),
        int(aside or 0),
        int(running or 0),
        int(gone or 0),
        _seconds(since),
    )


def _answer(row: Sequence[Any]) -> Answer:
    *words, records = row
    job, worker, client, name, group, model, label, asked, *rest = map(_text, words)
    dispatched, sent, attempt, call, begun = rest
    return Answer(
        job,
        worker,
        client,
        name,
        group,
        model,
        label,
        _seconds(asked) or 0.0,
        _seconds(dispatched),
        _seconds(sent),
        int(attempt or 0),
        call,
        bool(begun),
        records,
    )


def _worker(row: Sequence[Any]) -> LivingWorker:
    id_, left, report, running = row
    try:
        read = decode_report(report) if report else None
    except msgspec.DecodeError:
        read = None
    return LivingWorker(id_.decode(), left / 1000, read, running)


def _seconds(milliseconds: bytes | str) -> float | None:
    return float(milliseconds) / 1000 if milliseconds else None


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _setting(value: bytes) -> str:
    """Return a setting of a stored key, which is JSON."""
    try:
        return msgspec.json.decode(value, type=str) if value else ""
    except msgspec.DecodeError:
        return _text(value)
