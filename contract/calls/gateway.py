"""The calls of a gateway: a job's way in, and its readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import msgspec

from contract.budgets import Budget
from contract.calls.call import Call, Word, milliseconds, words_of
from contract.codec import encode
from contract.lifetimes import ANSWER_LIFE, CLAIM_LIFE, GATEWAY_LIFE, JOB_LIFE, LEDGER_LIFE


class Admission(msgspec.Struct, frozen=True):
    """On what terms a job may join the queue."""

    wait: float
    """Seconds for which it may wait."""
    weight: float
    max_queued: int
    """The most jobs of the client that wait."""
    max_queued_total: int
    max_concurrent: int | None
    """The most unfinished jobs of the client. None: any number."""
    rate_limit: int | None
    """The most jobs of the client in any 60 seconds. None: any number."""
    max_stored: int
    """The most bytes of the client's requests that are stored, each until it is answered."""
    max_stored_total: int


class Resumable(msgspec.Struct, frozen=True):
    """One reader of a job that others may read: it has a name, may be sent again, or is kept."""

    key: str
    """What it is found by: the idempotency key's name in Redis, or what `keys.of_tries` returns.

    Empty: by its id only."""
    reader: str
    """The request that reads, unique within its gateway."""
    grace: float
    """Seconds for which the job goes on without readers."""
    keep: float
    """Seconds for which its answer can be had after its end."""


class Kept(msgspec.Struct, frozen=True):
    """What is kept of a request beside the log of its answer, and for how long."""

    head: bytes
    """What it takes to render the answer; not empty."""
    input: bytes
    """The request's own part of the conversation."""
    previous: str
    """The job whose answer it goes on from, or an empty string."""
    background: bool
    """Whether it goes on without its client."""
    life: float
    """Seconds for which the answer is kept after its end."""
    most: int
    """The most bytes of the client's kept answers."""
    most_in_all: int


class Billing(msgspec.Struct, frozen=True):
    """To whom a request is put down, and what each of its choices may cost."""

    name: str = ""
    """The client's, for people."""
    group: str = ""
    """Its team, if it has one."""
    model: str = ""
    """As the client calls it."""
    estimate: int = 0
    """Points."""
    budgets: tuple[Budget, ...] = ()
    """In which it counts."""


NO_BILLING = Billing()


class Claimed(msgspec.Struct, frozen=True):
    """The job that answers the requests with an idempotency key."""

    job: str
    created: int
    """Unix time in seconds."""


class Claim(Call[Claimed | Literal["unclaimed", "another body"]], frozen=True, kw_only=True):
    """Ask which job answers the requests with this idempotency key.

    The first to ask gets `job`, unless that is empty: then nobody does.
    """

    script: ClassVar[str] = "claim"

    key: str
    """The idempotency key's name in Redis."""
    body: str
    """The digest of the request's body."""
    job: str
    created: int
    """Unix time in seconds."""
    life: float = CLAIM_LIFE

    def arguments(self) -> list[Word]:
        return [self.key, self.body, self.job, self.created, milliseconds(self.life)]

    def read(self, reply: Any) -> Claimed | Literal["unclaimed", "another body"]:
        if not reply:
            return "another body"
        return Claimed(reply[0].decode(), int(reply[1])) if reply[0] else "unclaimed"


class Resend(Call[Claimed | None], frozen=True, kw_only=True):
    """Ask which answer a request without an idempotency key belongs to, if it was sent before.

    Returns `job` where it belongs to none, and None if there is no `job` that it may begin.
    """

    script: ClassVar[str] = "resend"

    name: str
    """Common to all equal requests of the client."""
    job: str
    sent: Literal["", "session", "retry"]
    """What says that it may have been sent before: its session, a count of retries, or nothing."""
    choices: int
    created: int
    """Unix time in seconds."""
    life: float = CLAIM_LIFE

    def arguments(self) -> list[Word]:
        life = milliseconds(self.life)
        return [self.name, self.job, self.sent, self.choices, self.created, life]

    def read(self, reply: Any) -> Claimed | None:
        return Claimed(reply[0].decode(), int(reply[1])) if reply[0] else None


class Ticket(msgspec.Struct, frozen=True):
    """A request's place in the queue."""

    seq: int
    """The number of its last choice among all jobs that its client ever sent."""
    place: int
    """How many of the client's jobs wait in its stream, up to this one."""
    asks_left: int | None = None
    """How many more requests the client may make now. None: any number."""
    asks_reset: float = 0.0
    """Seconds until that is one more."""
    tightest: int | None = None
    """Of which of its budgets the least is left. None: it has none."""
    points_left: int = 0
    """Points of that one, when it was asked, that were neither spent nor reserved."""


class Rejection(msgspec.Struct, frozen=True):
    """Why a request is not queued; it has cost nothing."""

    reason: Literal["full", "heavy", "busy", "limited", "short", "late", "forgotten"]
    """`full`: too many jobs wait; `heavy`: too many bytes are stored; `busy`: the client has too
    many unfinished jobs; `limited`: it asks too often; `short`: a budget does not suffice;
    `late`: its gateway has given up; `forgotten`: its idempotency key leads to this job no longer.
    """
    number: int = 0
    """Jobs that wait or are unfinished, bytes that are stored, ms until the client may ask, or
    which of its budgets it is, from 0."""
    points_left: int = 0
    """What is not spent of that budget."""


class Welcome(msgspec.Struct, frozen=True):
    """The request would be taken, if it came with the bytes of the blobs that are missing."""

    missing: frozenset[str] = frozenset()
    """Their digests."""


NO_BLOBS: Mapping[str, bytes] = MappingProxyType({})


class Enqueue(Call[Ticket | Rejection | Welcome], frozen=True, kw_only=True):
    """Queue a request, a job for each of its choices, or join its readers: all or none.

    With an empty payload, or without the bytes of a blob that is not there, it only asks.
    """

    script: ClassVar[str] = "enqueue"

    job: str
    """The first choice's id."""
    client: str
    gateway: str
    payload: bytes
    terms: Admission
    size: int
    """The bytes of the payload and of all blobs, also of those that are left out."""
    blobs: Mapping[str, bytes] = NO_BLOBS
    """What its messages refer to, by digest: the bytes, or none of a blob that is there."""
    choices: int = 1
    not_after: float | None = None
    """The instant of Redis's clock, in seconds, after which nothing is queued. None: any time."""
    resumable: Resumable | None = None
    kept: Kept | None = None
    """None: the answer is not kept."""
    billing: Billing = NO_BILLING
    life: float = JOB_LIFE

    def arguments(self) -> list[Word]:
        terms = self.terms
        words: list[Word] = [
            self.job,
            self.client,
            self.gateway,
            self.payload,
            milliseconds(terms.wait),
            terms.weight,
            terms.max_queued,
            terms.max_queued_total,
            milliseconds(terms.wait + self.life),
            "" if terms.max_concurrent is None else terms.max_concurrent,
            "" if terms.rate_limit is None else terms.rate_limit,
            "" if self.not_after is None else milliseconds(self.not_after),
            self.choices,
            self.size,
            terms.max_stored,
            terms.max_stored_total,
        ]
        if reader := self.resumable:
            grace, keep = milliseconds(reader.grace), milliseconds(reader.keep)
            words += [reader.reader, grace, keep, reader.key]
        else:
            words += [""] * 4
        words += self._kept()
        billing = self.billing
        words += [billing.name, billing.group, billing.model, billing.estimate]
        words.append(encode(billing.budgets) if billing.budgets else "")
        return words + words_of(self.blobs)

    def _kept(self) -> list[Word]:
        kept = self.kept
        if kept is None:
            return [""] * 7
        return [
            kept.head,
            kept.input,
            kept.previous,
            int(kept.background),
            milliseconds(kept.life),
            kept.most,
            kept.most_in_all,
        ]

    def read(self, reply: Any) -> Ticket | Rejection | Welcome:
        verdict, *numbers = reply
        match verdict:
            case b"queued":
                return _ticket(numbers)
            case b"welcome":
                return Welcome(frozenset(digest.decode() for digest in numbers))
            case _:
                return Rejection(verdict.decode(), *numbers)


def _ticket(numbers: Sequence[Any]) -> Ticket:
    seq, place, *rest = numbers
    # Without a limit, and with budgets, there are two empty strings in place of what is left of it.
    asks = (rest[0], rest[1] / 1000) if rest and rest[0] != b"" else (None, 0.0)
    return Ticket(seq, place, *asks, *rest[2:])


class Withdraw(Call[bool], frozen=True, kw_only=True):
    """End a request that waits, unless it may have to be paid for. Returns whether it has ended."""

    script: ClassVar[str] = "withdraw"

    job: str
    """The first choice's id."""
    choices: int
    gateway: str
    resumable: Resumable | None = None
    answer_life: float = ANSWER_LIFE

    def arguments(self) -> list[Word]:
        words: list[Word] = [self.job, self.choices, milliseconds(self.answer_life)]
        if reader := self.resumable:
            words += [self.gateway, reader.reader, reader.key]
        return words

    def read(self, reply: Any) -> bool:
        return bool(reply)


class Cancel(Call[Literal["dropped", "told", "gone", "kept"]], frozen=True, kw_only=True):
    """A reader of a job's answer has left: end the job, unless others read it.

    One that may be resumed goes on for its grace first, if not `at_once`. Returns what became of
    the job: it was `dropped` before a worker had it, its worker was `told`, it was `gone`, or it is
    `kept`.
    """

    script: ClassVar[str] = "cancel"

    job: str
    gateway: str = ""
    resumable: Resumable | None = None
    at_once: bool = True
    answer_life: float = ANSWER_LIFE

    def arguments(self) -> list[Word]:
        words: list[Word] = [self.job, milliseconds(self.answer_life)]
        if reader := self.resumable:
            words += [self.gateway, reader.reader, int(self.at_once), reader.key]
        return words

    def read(self, reply: Any) -> Literal["dropped", "told", "gone", "kept"]:
        outcome: Literal["dropped", "told", "gone", "kept"] = reply.decode()
        return outcome


class GatewayHeartbeat(Call[None], frozen=True):
    """Count as alive for `life` seconds more."""

    script: ClassVar[str] = "gateway_heartbeat"

    gateway: str
    life: float = GATEWAY_LIFE
    ledger_life: float = LEDGER_LIFE
    """Seconds for which records of the ledger are kept."""

    def arguments(self) -> list[Word]:
        return [self.gateway, milliseconds(self.life), milliseconds(self.ledger_life)]

    def read(self, reply: Any) -> None:
        """There is nothing to read."""
