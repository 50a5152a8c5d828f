"""The workers among each other: heartbeats, leases, and the jobs of those that have died."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from contract.calls.worker import Reclaim, WorkerHeartbeat
from contract.failures import DEADLY, INTERRUPTED, TOO_LATE
from contract.messages import WorkerReport
from worker.queue.session import RedisSession


class Fleet:
    """One worker among the others, in Redis."""

    def __init__(self, session: RedisSession, *, lease_life: float, max_attempts: int) -> None:
        self._session = session
        self._lease_life = lease_life
        self._max_deaths = max_attempts

    async def heartbeat(
        self, report: WorkerReport, batches: Iterable[str], *, leaving: bool = False
    ) -> dict[str, int]:
        """Renew the heartbeat and the leases; return the batches held, with their fences."""
        return await self._session.run(
            WorkerHeartbeat(
                worker=self._session.worker,
                lease_life=self._lease_life,
                report=report,
                batches=tuple(batches),
                leaving=leaving,
            )
        )

    async def unowned(self, batches: Sequence[str]) -> set[str]:
        """Return those of the batches that no worker holds."""
        now = self._session.clock.at(time.monotonic()) * 1000
        async with self._session.redis.pipeline(transaction=False) as pipe:
            for batch in batches:
                pipe.hget(self._session.keys.lease(batch), "expires")
            expiries = await pipe.execute()
        pairs = zip(batches, expiries, strict=True)
        return {batch for batch, expires in pairs if float(expires or 0) <= now}

    async def reclaim(self) -> list[str]:
        """Requeue or end the jobs of workers that have died; return those workers."""
        return await self._session.run(
            Reclaim(
                max_deaths=self._max_deaths,
                interrupted=INTERRUPTED,
                deadly=DEADLY,
                too_late=TOO_LATE,
            )
        )
