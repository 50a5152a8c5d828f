"""The worker's only Redis."""

from __future__ import annotations

from contract.keys import DEFAULT_KEYS, Keys
from worker.queue.alerts import AlertQueue
from worker.queue.blobs import Blobs
from worker.queue.catalogue import CatalogueStore
from worker.queue.fleet import Fleet
from worker.queue.jobs import Jobs
from worker.queue.known_uploads import KnownUploads
from worker.queue.reconciliations import Reconciliations
from worker.queue.session import RedisSession
from worker.queue.tokens import Tokens


class Queue:
    """One worker's share of the queue, until its `async with` block is left.

    `lease_life` is in seconds. `max_attempts` workers may die of a job before it is given up.
    """

    def __init__(
        self,
        url: str,
        worker: str,
        keys: Keys = DEFAULT_KEYS,
        *,
        lease_life: float,
        max_attempts: int,
    ) -> None:
        self.worker = worker
        self.session = RedisSession(url, worker, keys)
        self.jobs = Jobs(self.session, url)
        self.tokens = Tokens(self.session)
        self.fleet = Fleet(self.session, lease_life=lease_life, max_attempts=max_attempts)
        self.uploads = KnownUploads(self.session)
        self.blobs = Blobs(url, keys)
        self.catalogue = CatalogueStore(self.session)
        self.alerts = AlertQueue(self.session)
        self.reconciliations = Reconciliations(self.session)

    async def __aenter__(self) -> Queue:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.jobs.aclose()
        await self.blobs.aclose()
        await self.session.aclose()
