"""Jobs on their way into the queue: claimed by name, submitted, withdrawn."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from contract.calls.gateway import (
    Admission,
    Claim,
    Claimed,
    Enqueue,
    Rejection,
    Resumable,
    Ticket,
    Withdraw,
)
from contract.codec import encode
from contract.keys import choice
from contract.messages import Job
from gateway.queue.departures import Departures
from gateway.queue.server import LARGE, NO_TIME, Server


class TooLarge(Exception):
    """The request is larger than all that may be stored for its client."""


class Mismatch(Exception):
    """The idempotency key belongs to another request."""


class Jobs:
    """What one gateway asks of the queue. All of it raises RedisFault within `PATIENCE`.

    A large request may take longer: see `patience_for`.
    """

    def __init__(self, server: Server, gateway: str, departures: Departures) -> None:
        self._server = server
        self._gateway = gateway
        self._departures = departures

    async def claim(self, key: str, body: str, job: str, created: int) -> Claimed | None:
        """Return the job that answers the requests with this idempotency key.

        That is `job`, if it is the first; None, if it would be and is empty. Raises Mismatch.
        """
        claim = Claim(key=key, body=body, job=job, created=created)
        found = await self._server.run_soon(claim, NO_TIME)
        if found == "another body":
            raise Mismatch
        return found if isinstance(found, Claimed) else None

    async def have(self, ids: Iterable[tuple[str, str]]) -> bool:
        """Return whether each job's log has a record of this id."""
        async with self._server.redis.pipeline(transaction=False) as pipe:
            for job, record in ids:
                pipe.xrange(self._server.keys.log(job), record, record)
            return all(await self._server.soon(pipe.execute()))

    async def submit(
        self, job: Job, choices: int, terms: Admission, resumable: Resumable | None = None
    ) -> Ticket | Rejection:
        """Queue a request, a job for each of its choices, or join its readers; all or none.

        `job` is the first of them. Raises TooLarge.
        """
        if self._departures.are_too_many:
            raise ConnectionError("Redis has not been told of the last departures yet")
        payload = encode(job)
        if len(payload) > min(terms.max_stored, terms.max_stored_total):
            raise TooLarge
        enqueue = Enqueue(
            job=job.id,
            client=job.client,
            gateway=self._gateway,
            payload=payload,
            size=len(payload),
            choices=choices,
            terms=terms,
            resumable=resumable,
        )
        try:
            return await self._submitted(enqueue)
        except BaseException:
            # For all we know it may have been queued.
            for number in range(choices):
                self._departures.leave(choice(job.id, number), resumable, at_once=True)
            raise

    async def withdraw(self, job: str, choices: int, resumable: Resumable | None) -> bool:
        """End a request that waits, unless it may have cost something; return whether it ended."""
        withdraw = Withdraw(job=job, choices=choices, gateway=self._gateway, resumable=resumable)
        return await self._server.run_soon(withdraw)

    async def _submitted(self, enqueue: Enqueue) -> Ticket | Rejection:
        if enqueue.size > LARGE:
            # So a client that may store no more does not keep Redis busy with what it refuses.
            reply = await self._asked(msgspec.structs.replace(enqueue, payload=b""))
            if reply is not None:
                return reply
        reply = await self._asked(enqueue)
        assert reply is not None  # noqa: S101  # it did not only ask
        return reply

    async def _asked(self, enqueue: Enqueue) -> Ticket | Rejection | None:
        size = len(enqueue.payload)
        enqueue = msgspec.structs.replace(enqueue, not_after=self._server.not_after(size))
        reply = await self._server.run_large(enqueue, size)
        if isinstance(reply, Rejection) and reply.reason == "late":
            raise TimeoutError
        return reply
