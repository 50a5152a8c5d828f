"""A waiting job's position in the queue, and how long it will wait. Pure.

The queue is fair by virtual time (dispatch.lua): each client's next job has a start tag, its turn,
and each job behind it starts 1/weight later. So the jobs ahead of ours are those with a lower tag:
the ones before it in its own stream, and of each other client as many as fit below our tag.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class QueuedClient:
    """One client that has jobs waiting."""

    turn: float
    """The start tag of its next job."""
    weight: float
    waiting: int
    gone: int
    """Jobs that have ever left its stream."""


def newcomer(client: str, jobs: int, weight: float, queue: Mapping[str, QueuedClient]) -> int:
    """Return the position, from 1, that the last of so many jobs would have if they came now."""
    own = queue.get(client) or arrival(weight, 0, queue)
    return position(client, own.gone + own.waiting + jobs, {**queue, client: own})


def arrival(weight: float, gone: int, queue: Mapping[str, QueuedClient]) -> QueuedClient:
    """Return the entry of a client that had no job waiting: its turn is about now."""
    turn = min((other.turn for other in queue.values()), default=0.0)
    return QueuedClient(turn, weight, 0, gone)


def position(client: str, seq: int, queue: Mapping[str, QueuedClient]) -> int:
    """Return the position, from 1, of the job that was the client's `seq`-th ever."""
    own = queue.get(client)
    if own is None:
        return 1
    place = max(1, seq - own.gone)
    tag = own.turn + (place - 1) / own.weight
    ahead = sum(
        min(other.waiting, math.ceil((tag - other.turn) * other.weight))
        for name, other in queue.items()
        if name != client and other.turn < tag
    )
    return place + ahead


def eta(position: int, rate: float, free: int) -> float | None:
    """Return the seconds until the job at `position` starts, at `rate` starts a second, if known.

    `free` of them can start at once. The next start after those is half an interval away, on
    average.
    """
    if position <= free:
        return 0.0
    return (position - free - 0.5) / rate if rate > 0 else None
