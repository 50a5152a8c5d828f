"""A further reader of an answer that is kept."""

from __future__ import annotations

from secrets import token_hex

from contract.calls.gateway import Resumable
from contract.messages import Job
from gateway.config import AccessToken
from gateway.exchange.kept import KeptAnswer
from gateway.exchange.reader import Reader, grace_of
from gateway.exchange.services import Services
from gateway.queue.faults import no_queue
from store.faults import RedisFault


class Rejoining(Reader):
    """Reads the answer of another request from its beginning."""

    def __init__(self, services: Services, client: AccessToken, kept: KeptAnswer) -> None:
        super().__init__(services, client)
        head, config = kept.head, services.config
        self._has_ended = kept.found.has_ended
        self._resumable = Resumable(
            "",
            token_hex(6),
            grace_of(config, in_background=kept.found.background),
            config.resume_window,
        )
        self.jobs = [
            Job(head.job, client.client, kept.bot, messages=(), created=float(head.created))
        ]
        self.patience = config.queue_timeout

    @property
    def is_attached(self) -> bool:
        """Whether another request has begun the answer: it has."""
        return True

    @property
    def resumable(self) -> Resumable:
        """This request as a reader."""
        return self._resumable

    async def submit(self) -> None:
        """Join the readers, unless the answer has ended. Raises Problem."""
        if self._has_ended:
            return
        job = self.jobs[0]
        try:
            self._ticket = await self._services.hub.jobs.join(
                job.id, job.client, self.terms(), self._resumable
            )
        except RedisFault as fault:
            raise no_queue(fault) from None

    async def withdraw(self) -> bool:
        """Leave the jobs in the queue: they are another request's."""
        return False
