"""Where a waiting job stands in line, and for how long.

The queue is fair by virtual time (dispatch.lua): each client's next job has a start tag, its turn,
and each job behind it starts 1/weight later. So the jobs ahead of ours are those with a lower tag:
the ones before it in its own stream, and of each other client as many as fit below our tag.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """One client that waits."""

    turn: float
    """The start tag of its next job."""
    weight: float
    waiting: int
    gone: int
    """Jobs that have ever left its stream."""


def newcomer(client: str, jobs: int, weight: float, standings: Mapping[str, Standing]) -> int:
    """The place in line, from 1, that the last of so many jobs would have if they came now."""
    own = standings.get(client) or arrival(weight, 0, standings)
    return position(client, own.gone + own.waiting + jobs, {**standings, client: own})


def arrival(weight: float, gone: int, standings: Mapping[str, Standing]) -> Standing:
    """Where a client stands of which nobody else waits: its turn is about now."""
    turn = min((other.turn for other in standings.values()), default=0.0)
    return Standing(turn, weight, 0, gone)


def position(client: str, seq: int, standings: Mapping[str, Standing]) -> int:
    """The place in line, from 1, of the job that was the client's `seq`-th ever."""
    own = standings.get(client)
    if own is None:
        return 1
    place = max(1, seq - own.gone)
    tag = own.turn + (place - 1) / own.weight
    ahead = sum(
        min(other.waiting, math.ceil((tag - other.turn) * other.weight))
        for name, other in standings.items()
        if name != client and other.turn < tag
    )
    return place + ahead


def eta(position: int, rate: float, free: int) -> float | None:
    """Seconds until the job at `position` starts, at `rate` starts a second; None: unknown.

    `free` of them can start at once. The next start after those is half an interval away, on
    average.
    """
    if position <= free:
        return 0.0
    return (position - free - 0.5) / rate if rate > 0 else None
