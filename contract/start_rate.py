"""How fast the queue moves, measured over looks at it. Pure."""

from __future__ import annotations

from typing import Protocol

WINDOW = 20.0
"""Seconds over which the rate of starts is measured."""

SHORTEST = 8.0
"""Seconds that a measurement takes at least."""


class Look(Protocol):
    """The queue at one instant."""

    @property
    def at(self) -> float:
        """Seconds of a clock that is the same for all looks."""

    @property
    def waiting(self) -> int:
        """Jobs that wait."""

    @property
    def dispatched(self) -> int:
        """Jobs ever handed to workers."""

    @property
    def capacity(self) -> float:
        """Starts per second that the limits of all healthy tokens allow."""


class StartRate:
    """How fast the queue moves, measured over the last looks."""

    def __init__(self) -> None:
        self._looks: list[Look] = []

    def observe(self, look: Look) -> None:
        """Take another look."""
        self._looks.append(look)
        while len(self._looks) > 2 and look.at - self._looks[1].at >= WINDOW:
            self._looks.pop(0)

    def rate(self) -> float:
        """Starts per second: measured while jobs have been waiting, else what the limits allow."""
        if not self._looks:
            return 0.0
        first, last = self._looks[0], self._looks[-1]
        if not all(look.waiting for look in self._looks) or last.at - first.at < SHORTEST:
            return last.capacity
        return _pace(first, last) or last.capacity

    def pace(self) -> float:
        """Starts per second between the last two looks."""
        return _pace(*self._looks[-2:]) if len(self._looks) > 1 else 0.0


def _pace(first: Look, last: Look) -> float:
    # A coarse clock may give two looks the same time.
    seconds = last.at - first.at
    return (last.dispatched - first.dispatched) / seconds if seconds > 0 else 0.0
