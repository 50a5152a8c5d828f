"""One reader of an answer: the one that has begun it, or a later one."""

from __future__ import annotations

import time
from collections.abc import Collection

from contract.calls.gateway import Admission, Resumable, Ticket
from contract.lifetimes import JOB_LIFE
from contract.messages import Job
from gateway.config import AccessToken, GatewayConfig
from gateway.exchange import admission
from gateway.exchange.idempotency import Name
from gateway.exchange.services import Services


class Reader:
    """A request that reads the answer of some jobs, one for each choice."""

    name: Name | None = None
    """The name that it gives its answer."""
    jobs: list[Job]
    patience: float
    """Seconds for which it may wait in the queue."""
    _ticket: Ticket | None = None

    def __init__(self, services: Services, client: AccessToken) -> None:
        self._services = services
        self._client = client

    @property
    def is_queued(self) -> bool:
        """Whether its jobs are in the queue, or beyond."""
        return self._ticket is not None

    @property
    def is_attached(self) -> bool:
        """Whether another request has begun the answer."""
        raise NotImplementedError

    @property
    def resumable(self) -> Resumable | None:
        """This request as a reader of an answer that may be read again."""
        raise NotImplementedError

    async def claim(self) -> None:
        """Find the answer that this request has a name for, if it has one. Raises Problem."""

    async def submit(self) -> None:
        """Queue the jobs, or join the readers of those that are there. Raises Problem."""
        raise NotImplementedError

    async def withdraw(self) -> bool:
        """Take the jobs out of the queue, unless a call may have cost something.

        Returns whether they are out. Raises RedisFault.
        """
        raise NotImplementedError

    def leave(self, unfinished: Collection[int], *, at_once: bool) -> None:
        """Stop reading these choices. `at_once`: do not wait for a reader to come back."""
        for choice in unfinished if self.is_queued else ():
            job = self.jobs[choice].id
            self._services.hub.departures.leave(job, self.resumable, at_once=at_once)

    def position(self) -> int:
        """Return the position in the queue, from 1: that which it would have, until it has one."""
        fleet, client, ticket = self._services.fleet, self._client, self._ticket
        now = time.monotonic()
        if ticket is None:
            return fleet.newcomer(client.client, len(self.jobs), client.weight, now)
        return fleet.position(client.client, client.weight, ticket.seq, ticket.place, now)

    def wait(self) -> float | None:
        """Return the seconds until a worker begins with it, if they can be estimated."""
        return self._services.fleet.wait(self.position())

    def terms(self) -> Admission:
        """Return on what terms its jobs may join the queue."""
        config, client = self._services.config, self._client
        maxmemory = self._services.fleet.last.maxmemory
        max_stored, max_stored_total = admission.most_stored(config, maxmemory)
        return Admission(
            wait=self.patience,
            weight=client.weight,
            max_queued=config.max_queued,
            max_queued_total=config.max_queued_total,
            max_concurrent=client.max_concurrent,
            rate_limit=client.rate_limit,
            max_stored=max_stored,
            max_stored_total=max_stored_total,
        )


def grace_of(config: GatewayConfig, *, in_background: bool) -> float:
    """Return for how many seconds an answer that may be read again goes on without readers."""
    # In the background it ends by itself: its calls have time limits of their own.
    return JOB_LIFE if in_background else config.resume_grace
