"""The records of the ledger: what each request has cost, and what was corrected afterwards.

A record is a msgpack array, written once and never changed. No record holds a prompt, an answer or
a secret. Fields are only ever appended, each with a default.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Basis = Literal["usage", "flat", "estimate", "free"]
"""What the points of a request were settled by: its tokens, a price that is the same for each call,
the estimate (Poe may have charged, and it is not known how much), or that nothing was charged."""


FINISHED, CANCELLED = "finished", "cancelled"
"""Outcomes of requests that have not failed."""


class Request(msgspec.Struct, frozen=True, array_like=True, tag="request", kw_only=True):
    """A job that has ended. Each choice of a request is a job."""

    job: str
    client: str
    """The stored key's id, or the fingerprint of an access token."""
    name: str = ""
    """The client's name, as it was then."""
    group: str = ""
    """Its team, as it was then."""
    model: str = ""
    """As the client wrote it."""
    account: str = ""
    """The label of the Poe token that was asked last, never the token. Empty: none was."""
    outcome: str = FINISHED
    """`finished`, or the value of a `FailureKind`: `cancelled` where the client has left."""
    asked: int = 0
    """Unix time in milliseconds."""
    wait: int = 0
    """Milliseconds in the queue, until a worker had it last."""
    duration: int = 0
    """Milliseconds from when it was asked to its end."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Those of the prompt that the upstream had cached."""
    estimated: int = 0
    """Points, before it was asked of Poe."""
    settled: int = 0
    """Points, as far as they are known at its end."""
    basis: Basis = "free"
    calls: int = 0
    """Calls for which Poe may have charged."""
    budgets: tuple[str, ...] = ()
    """The counters in which it counts; see `contract.budgets`."""
    bot: str = ""
    """What Poe calls the model."""
    sent: int = 0
    """Unix time in milliseconds at which the last call was granted; then it left. 0: none."""


class Correction(msgspec.Struct, frozen=True, array_like=True, tag="correction", kw_only=True):
    """What Poe says a call has cost, where that is not what was settled."""

    job: str
    """Empty: a row of Poe's history that is none of ours."""
    client: str = ""
    name: str = ""
    group: str = ""
    model: str = ""
    account: str = ""
    points: int = 0
    """To be added to what was settled; may be negative."""
    reason: Literal["matched", "shared", "unmatched", "missing"] = "matched"
    """`missing`: Poe has no row for the job, so it has not charged for it."""
    query: str = ""
    """Poe's id of the row; of one that is missing, `no row of <job>`."""
    at: int = 0
    """Unix time in milliseconds, of the row; of one that is missing, of the job's end."""


LedgerRecord = Request | Correction


class Cost(msgspec.Struct, frozen=True, array_like=True):
    """What a worker knows at the end of a job of what it has cost."""

    calls: int = 0
    """Calls for which Poe may have charged."""
    unpriced: int = 0
    """Those of them of which it is not known how much: each counts as the estimate."""
    points: int = 0
    """What the others cost."""
    basis: Literal["usage", "flat"] = "usage"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


decode_ledger_record = msgspec.msgpack.Decoder(LedgerRecord).decode
