"""What a gateway knows of everyone else from a look at Redis: workers, queue, catalogue. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from contract.lifetimes import GATEWAY_LIFE
from contract.messages import Catalogue, TokenCounts, WorkerReport
from contract.position import QueuedClient, arrival, eta, newcomer, position
from contract.start_rate import StartRate

VACANCY = 6.0
"""Seconds without a live worker after which a gateway ends what dead ones had begun."""

GAP = 3.0
"""Seconds between two looks that tell an outage of Redis: in it, every heartbeat may lapse."""


@dataclass(frozen=True)
class Fleet:
    """One look, at one instant."""

    at: float
    """Seconds of the gateway's monotonic clock."""
    workers: tuple[WorkerReport, ...] = ()
    waiting: int = 0
    dispatched: int = 0
    """Jobs ever handed to workers."""
    clock_steps: int = 0
    """How often Redis's clock has been set, as far as it was noticed."""
    clock_offset: float = 0.0
    """Seconds to add to what that clock says now, for all of these together."""
    queue: Mapping[str, QueuedClient] = field(default_factory=dict)
    catalogue: Catalogue | None = None
    maxmemory: int = 0
    """Bytes that Redis may take; 0: as many as there are."""

    @property
    def capacity(self) -> float:
        """Starts per second that the limits of all healthy tokens allow."""
        return sum(worker.capacity for worker in self.workers)

    @property
    def others(self) -> int:
        """Tokens that no worker here owns, and that may be fit as far as is known."""
        return sum(worker.others for worker in self.workers)

    @property
    def unowned(self) -> int:
        """Tokens that no worker owns: the largest number that a worker reports."""
        return max((worker.unowned for worker in self.workers), default=0)

    @cached_property
    def tokens(self) -> TokenCounts:
        """All tokens that a worker owns, by what they can do now."""
        counts = [worker.tokens for worker in self.workers]
        return TokenCounts(
            sum(c.free for c in counts),
            sum(c.cooling for c in counts),
            sum(c.busy for c in counts),
            sum(c.parked for c in counts),
            sum(c.disabled for c in counts),
        )


class FleetView:
    """The last look, and the estimates of positions and waits from it and the looks before it."""

    def __init__(self) -> None:
        self.last = Fleet(at=0.0)
        self._rate = StartRate()
        self._vacant_since: float | None = None
        self._present_since = -math.inf
        self._grace = GATEWAY_LIFE

    def see(self, fleet: Fleet) -> None:
        """Take another look."""
        if self.last.at and fleet.at - self.last.at > GAP:
            self._present_since = fleet.at
        if fleet.workers or self._vacant_since is None:
            self._vacant_since = fleet.at
        self._grace = max([self._grace, *(worker.lease_life for worker in fleet.workers)])
        self.last = fleet
        self._rate.observe(fleet)

    @property
    def is_vacant(self) -> bool:
        """Whether no worker is left to see to the jobs of dead ones.

        After an outage of Redis, everyone has the time of a heartbeat to come back.
        """
        at, since = self.last.at, self._vacant_since
        is_settled = at - self._present_since > self._grace
        return since is not None and at - since > VACANCY and is_settled

    def newcomer(self, client: str, jobs: int, weight: float, now: float) -> int:
        """Return the position, from 1, of the last of so many jobs if they came now.

        `now` is of the monotonic clock, as in `position`.
        """
        return self._since(newcomer(client, jobs, weight, self.last.queue), now)

    def position(self, client: str, weight: float, seq: int, place: int, now: float) -> int:
        """Return the position of a client's `seq`-th job ever, which came as its `place`-th."""
        queue = self.last.queue
        if client not in queue:
            # It came after the last look.
            own = arrival(weight, seq - place, queue)
            queue = {**queue, client: own}
        return self._since(position(client, seq, queue), now)

    def wait(self, position: int) -> float | None:
        """Return the seconds until the job at this position starts; None: unknown."""
        return eta(position, self._rate.rate(), self.last.tokens.free)

    def _since(self, position: int, now: float) -> int:
        # The queue has moved on since the look.
        return max(1, round(position - self._rate.pace() * (now - self.last.at)))
