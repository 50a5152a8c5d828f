"""How an attempt failed, who is to blame, and what the client is told.

One table holds everything about a kind of fault. A fault is an exception inside the worker;
`to_failure` turns it into the value that crosses Redis.
"""

from __future__ import annotations

import enum

import msgspec

from contract.messages import Failed, FailureKind


class FaultKind(enum.Enum):
    """How an attempt failed, in Poe's terms. The set is closed."""

    BAD_KEY = enum.auto()
    NO_POINTS = enum.auto()
    RATE_LIMITED = enum.auto()
    NOT_ENTITLED = enum.auto()
    NO_API_ACCESS = enum.auto()
    MODEL_NOT_FOUND = enum.auto()
    CONTENT_REFUSED = enum.auto()
    TOO_LONG = enum.auto()
    BAD_REQUEST = enum.auto()
    UPSTREAM_DOWN = enum.auto()
    OVERLOADED = enum.auto()
    UNREACHABLE = enum.auto()
    TIMEOUT = enum.auto()
    CUT = enum.auto()
    PROTOCOL = enum.auto()
    EMPTY = enum.auto()
    CONTENT_LOST = enum.auto()


class Blame(enum.Enum):
    """Who is to blame, which is all that the choice of the next attempt depends on."""

    TOKEN = enum.auto()
    """This token cannot be used now; another one may work."""
    MODEL_FOR_TOKEN = enum.auto()
    """This token may not use this model; that of another account may."""
    UPSTREAM = enum.auto()
    """No token is better than another; a later attempt may work."""
    REQUEST = enum.auto()
    """It will fail everywhere."""


class Reach(enum.IntEnum):
    """How far a call has come: what decides whether asking again may pay twice."""

    UNSENT = 0
    """No byte of the request has left."""
    SENT = 1
    """The request may have left, and no status has come."""
    REFUSED = 2
    """A status other than 2xx has come: Poe did not run it."""
    ANSWERED = 3
    """A status 2xx has come, and nothing of the answer: Poe runs it."""
    BEGUN = 4
    """Something of the answer has come, even if all of it is still held back."""


class Fault(Exception):
    """An attempt failed.

    `message` may be shown to the client. `retry_after` is in seconds. `allow_retry` is false where
    Poe says that the same request would fail again. `sent`: a byte of the request may have left.
    `param` is the field of the client's request that is wrong. `in_band`: the fault came within an
    answer instead of as a status. Its words may be the bot's own, so what they say of a key is not
    to be believed.
    """

    def __init__(
        self,
        kind: FaultKind,
        message: str = "",
        retry_after: float | None = None,
        allow_retry: bool = True,
        *,
        sent: bool = True,
        param: str = "",
        in_band: bool = False,
    ) -> None:
        self.kind = kind
        self.message = message or _TRAITS[kind].says
        self.retry_after = retry_after
        self.allow_retry = allow_retry
        self.sent = sent
        self.param = param
        self.in_band = in_band
        self.reached = Reach.SENT
        super().__init__(kind)

    @property
    def reach(self) -> Reach:
        """How far the call had come."""
        return self.reached if self.sent else Reach.UNSENT

    def __str__(self) -> str:
        return f"{self.kind.name}: {self.message}"

    def __repr__(self) -> str:
        return f"<Fault {self.kind.name}{'' if self.sent else ' (not sent)'}: {self.message}>"


def blame(kind: FaultKind) -> Blame:
    """Return who is to blame for a fault of this kind."""
    return _TRAITS[kind].blame


def is_refusal(kind: FaultKind) -> bool:
    """Return whether Poe has refused to run what ends in a fault of this kind."""
    return _TRAITS[kind].refusal


def to_failure(fault: Fault, *, output: bool) -> Failed:
    """Return the failure that this fault makes of its job.

    `output`: Poe may have charged for the job already."""
    traits = _TRAITS[fault.kind]
    # Poe says nothing on what a failed request costs. What it refuses it does not run;
    # everything else that reached it may have been charged.
    charged = output or (fault.sent and not traits.refusal)
    return Failed(traits.failure, fault.message, fault.retry_after, charged, fault.param)


class _Traits(msgspec.Struct, frozen=True):
    blame: Blame
    failure: FailureKind
    refusal: bool
    says: str


_REFUSED, _MAY_HAVE_RUN = True, False

_TRAITS = {
    FaultKind.BAD_KEY: _Traits(
        Blame.TOKEN,
        FailureKind.NO_TOKEN,
        _REFUSED,
        "The upstream rejected the credentials of this service.",
    ),
    FaultKind.NO_POINTS: _Traits(
        Blame.TOKEN,
        FailureKind.NO_POINTS,
        _REFUSED,
        "The accounts of this service have no points left for this model.",
    ),
    FaultKind.RATE_LIMITED: _Traits(
        Blame.TOKEN,
        FailureKind.RATE_LIMITED,
        _REFUSED,
        "The upstream's rate limit is reached.",
    ),
    FaultKind.NOT_ENTITLED: _Traits(
        Blame.MODEL_FOR_TOKEN,
        FailureKind.MODEL_NOT_ALLOWED,
        _REFUSED,
        "The accounts of this service may not use this model.",
    ),
    FaultKind.NO_API_ACCESS: _Traits(
        Blame.REQUEST,
        FailureKind.MODEL_NOT_ALLOWED,
        _REFUSED,
        "The upstream does not offer this model to programs.",
    ),
    # Which models exist can depend on an account's plan, so another token is worth a try.
    FaultKind.MODEL_NOT_FOUND: _Traits(
        Blame.MODEL_FOR_TOKEN,
        FailureKind.MODEL_NOT_FOUND,
        _REFUSED,
        "The upstream has no such model.",
    ),
    FaultKind.CONTENT_REFUSED: _Traits(
        Blame.REQUEST,
        FailureKind.CONTENT_REFUSED,
        _REFUSED,
        "The upstream refused the content of this request.",
    ),
    FaultKind.TOO_LONG: _Traits(
        Blame.REQUEST,
        FailureKind.CONTEXT_TOO_LONG,
        _REFUSED,
        "The conversation is too long for this model.",
    ),
    FaultKind.BAD_REQUEST: _Traits(
        Blame.REQUEST,
        FailureKind.INVALID_REQUEST,
        _REFUSED,
        "The upstream rejected this request as invalid.",
    ),
    # Redis has lost what a gateway had stored there: no worker can have it.
    FaultKind.CONTENT_LOST: _Traits(
        Blame.REQUEST,
        FailureKind.UNAVAILABLE,
        _REFUSED,
        "The content of an attachment is no longer stored. Send the request again.",
    ),
    FaultKind.UPSTREAM_DOWN: _Traits(
        Blame.UPSTREAM,
        FailureKind.UPSTREAM_FAILED,
        _MAY_HAVE_RUN,
        "The upstream failed to answer.",
    ),
    FaultKind.OVERLOADED: _Traits(
        Blame.UPSTREAM,
        FailureKind.OVERLOADED,
        _MAY_HAVE_RUN,
        "The upstream is overloaded.",
    ),
    FaultKind.UNREACHABLE: _Traits(
        Blame.UPSTREAM,
        FailureKind.UPSTREAM_FAILED,
        _MAY_HAVE_RUN,
        "The upstream cannot be reached.",
    ),
    FaultKind.TIMEOUT: _Traits(
        Blame.UPSTREAM,
        FailureKind.UPSTREAM_TIMEOUT,
        _MAY_HAVE_RUN,
        "The upstream did not answer in time.",
    ),
    FaultKind.CUT: _Traits(
        Blame.UPSTREAM,
        FailureKind.UPSTREAM_FAILED,
        _MAY_HAVE_RUN,
        "The upstream closed the connection before the answer was complete.",
    ),
    FaultKind.PROTOCOL: _Traits(
        Blame.UPSTREAM,
        FailureKind.UPSTREAM_FAILED,
        _MAY_HAVE_RUN,
        "The upstream sent something that is not an answer.",
    ),
    FaultKind.EMPTY: _Traits(
        Blame.UPSTREAM,
        FailureKind.UPSTREAM_EMPTY,
        _MAY_HAVE_RUN,
        "The upstream sent an empty answer.",
    ),
}
