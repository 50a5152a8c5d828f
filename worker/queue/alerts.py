"""Alerts that are to be delivered, as Redis hands them out among the workers."""

from __future__ import annotations

from contract.calls.alerts import PutBackAlert, TakeAlert, Taken
from worker.queue.session import RedisSession


class AlertQueue:
    """The alerts of all workers. Each raises RedisFault."""

    def __init__(self, session: RedisSession) -> None:
        self._session = session

    async def take(self, lease: float) -> Taken | None:
        """Take an alert that is due, for `lease` seconds; then it is due again."""
        return await self._session.run(TakeAlert(lease))

    async def put_back(self, taken: Taken, pause: float | None) -> None:
        """Have it due again after `pause` seconds; None removes it."""
        await self._session.run(PutBackAlert(taken.id, pause))
