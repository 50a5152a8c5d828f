"""Exponential backoff. All times are in seconds."""

from __future__ import annotations

from collections.abc import Iterator

_MOST_DOUBLINGS = 30
"""Beyond them a float could overflow, and any bound is reached."""


def doubled(first: float, longest: float, times: int) -> float:
    """Return `first`, doubled each time after the first, up to `longest`."""
    return min(first * 2.0 ** min(times - 1, _MOST_DOUBLINGS), longest)


def pauses(first: float, longest: float) -> Iterator[float]:
    """Yield the pauses before one try after another."""
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)
