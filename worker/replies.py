"""What the queue tells a worker, beside what the contract has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Granted:
    """The call may start."""

    at: float
    """When it was granted, by Redis's clock in milliseconds."""
    asked: float
    """When it was asked for, by our monotonic clock in seconds: before it was granted."""
