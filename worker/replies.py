"""What the queue tells a worker, and what a worker tells it of a token. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from contract.messages import Job


@dataclass(frozen=True)
class Dispatched:
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


@dataclass(frozen=True)
class Granted:
    """The call may start."""

    at: float
    """When it was granted, by Redis's clock in milliseconds."""
    asked: float
    """When it was asked for, by our monotonic clock in seconds: before it was granted."""


@dataclass(frozen=True)
class Refused:
    """The call may not start before `wait` seconds have passed; None: until a call ends."""

    wait: float | None


@dataclass(frozen=True)
class Parked:
    """The token is set aside for `wait` seconds: another worker has learned why."""

    wait: float
    state: str


@dataclass(frozen=True)
class Lost:
    """This worker no longer owns the token."""
