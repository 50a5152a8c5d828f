"""Jobs on their way into the queue: claimed by name, submitted, withdrawn."""

from __future__ import annotations

from collections.abc import Callable, Container, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from redis.exceptions import OutOfMemoryError

from contract.calls.gateway import (
    NO_BILLING,
    NO_BLOBS,
    Admission,
    Billing,
    Claim,
    Claimed,
    Enqueue,
    Kept,
    Rejection,
    Resend,
    Resumable,
    Ticket,
    Welcome,
    Withdraw,
)
from contract.codec import encode
from contract.keys import choice
from contract.messages import Job
from gateway.queue.departures import Departures
from gateway.queue.kept import KeptAnswers
from gateway.queue.server import LARGE, NO_TIME, Server

T = TypeVar("T")

ROOM = 4 * 1024 * 1024
"""Bytes of kept answers that give way at a time when Redis is full, beside those of a request."""


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
        self._kept = KeptAnswers(server)

    async def claim(self, key: str, body: str, job: str, created: int) -> Claimed | None:
        """Return the job that answers the requests with this idempotency key.

        That is `job`, if it is the first; None, if it would be and is empty. Raises Mismatch.
        """
        claim = Claim(key=key, body=body, job=job, created=created)
        found = await self._with_room(0, lambda: self._server.run_soon(claim, NO_TIME))
        if found == "another body":
            raise Mismatch
        return found if isinstance(found, Claimed) else None

    async def find_resent(self, resend: Resend) -> Claimed | None:
        """Return the job that answers a request which may have been sent before."""
        return await self._server.run_soon(resend, NO_TIME)

    async def have(self, ids: Iterable[tuple[str, str]]) -> bool:
        """Return whether each job's log has a record of this id."""
        async with self._server.redis.pipeline(transaction=False) as pipe:
            for job, record in ids:
                pipe.xrange(self._server.keys.log(job), record, record)
            return all(await self._server.soon(pipe.execute()))

    async def submit(
        self,
        job: Job,
        choices: int,
        terms: Admission,
        resumable: Resumable | None = None,
        *,
        blobs: Mapping[str, bytes] = NO_BLOBS,
        kept: Kept | None = None,
        billing: Billing = NO_BILLING,
    ) -> Ticket | Rejection:
        """Queue a request, a job for each of its choices, or join its readers; all or none.

        `job` is the first of them; `blobs` has the content of its attachments, by digest; `kept` is
        what is kept of it. Raises TooLarge.
        """
        if self._departures.are_too_many:
            raise ConnectionError("Redis has not been told of the last departures yet")
        payload = encode(job)
        size = len(payload) + sum(map(len, blobs.values()))
        if kept is not None:
            size += len(kept.head) + len(kept.input)
        if size > min(terms.max_stored, terms.max_stored_total):
            raise TooLarge
        enqueue = Enqueue(
            job=job.id,
            client=job.client,
            gateway=self._gateway,
            payload=payload,
            size=size,
            blobs=blobs,
            choices=choices,
            terms=terms,
            resumable=resumable,
            kept=kept,
            billing=billing,
        )
        try:
            return await self._with_room(size, lambda: self._submitted(enqueue))
        except BaseException:
            # For all we know it may have been queued.
            for number in range(choices):
                self._departures.leave(choice(job.id, number), resumable, at_once=True)
            raise

    async def join(
        self, job: str, client: str, terms: Admission, reader: Resumable
    ) -> Ticket | None:
        """Read the answer of a job along; return its place, or None if there is no such job."""
        if self._departures.are_too_many:
            raise ConnectionError("Redis has not been told of the last departures yet")
        enqueue = Enqueue(
            job=job,
            client=client,
            gateway=self._gateway,
            # Without it nothing is queued, if the job is not known any longer.
            payload=b"",
            size=0,
            terms=terms,
            resumable=reader,
        )
        try:
            reply = await self._asked(enqueue)
        except BaseException:
            self._departures.leave(job, reader, at_once=False)
            raise
        return reply if isinstance(reply, Ticket) else None

    async def withdraw(self, job: str, choices: int, resumable: Resumable | None) -> bool:
        """End a request that waits, unless it may have cost something; return whether it ended."""
        withdraw = Withdraw(job=job, choices=choices, gateway=self._gateway, resumable=resumable)
        return await self._server.run_soon(withdraw)

    async def _with_room(self, size: int, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what new work of this size in bytes replies; kept answers give way to it."""
        try:
            return await call()
        except OutOfMemoryError:
            # Redis has refused it as a whole.
            if not await self._kept.make_room(size + ROOM):
                raise
            return await call()

    async def _submitted(self, enqueue: Enqueue) -> Ticket | Rejection:
        request = enqueue
        if enqueue.size > LARGE:
            # So a client that may store no more does not keep Redis busy with what it refuses, and
            # a blob that is stored already is not sent again.
            reply = await self._asked(_named_only(enqueue))
            if not isinstance(reply, Welcome):
                return reply
            request = _with_blobs(enqueue, reply.missing)
        reply = await self._asked(request)
        if isinstance(reply, Welcome):
            # The last other request that had a blob has just ended.
            reply = await self._asked(enqueue)
        assert not isinstance(reply, Welcome)  # noqa: S101  # nothing was left out
        return reply

    async def _asked(self, enqueue: Enqueue) -> Ticket | Rejection | Welcome:
        size = len(enqueue.payload) + sum(map(len, enqueue.blobs.values()))
        if enqueue.kept is not None:
            size += len(enqueue.kept.head) + len(enqueue.kept.input)
        enqueue = msgspec.structs.replace(enqueue, not_after=self._server.not_after(size))
        reply = await self._server.run_large(enqueue, size)
        if isinstance(reply, Rejection) and reply.reason == "late":
            raise TimeoutError
        return reply


def _named_only(enqueue: Enqueue) -> Enqueue:
    return msgspec.structs.replace(_with_blobs(enqueue, ()), payload=b"", kept=None)


def _with_blobs(enqueue: Enqueue, sent: Container[str]) -> Enqueue:
    """Leave out the content of all other blobs."""
    blobs = {digest: data if digest in sent else b"" for digest, data in enqueue.blobs.items()}
    return msgspec.structs.replace(enqueue, blobs=blobs)
