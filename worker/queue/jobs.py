"""Jobs in, records out: what a worker takes from the queue, and what it puts into the logs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import msgspec
from redis import exceptions

from contract.calls.worker import (
    NO_COSTS,
    NO_LIMITS,
    Append,
    CallNote,
    Dispatch,
    Dispatched,
    NoteCall,
    Requeue,
    Unreadable,
)
from contract.failures import INTERRUPTED, TOO_LATE
from contract.keys import first_choice
from contract.ledger import Cost
from contract.messages import Failed, FailureKind, Job, Record
from worker.queue.bell import Bell
from worker.queue.session import TIMEOUT, RedisSession, reply_of

_log = logging.getLogger("worker.queue")

_UNREADABLE = Failed(
    FailureKind.INTERNAL, "The request cannot be read by the worker that was given it."
)


class Jobs:
    """The jobs of one worker, in Redis."""

    def __init__(self, session: RedisSession, url: str) -> None:
        self._session = session
        self._worker = session.worker
        self._requests: WeakValueDictionary[str, Job] = WeakValueDictionary()
        """What is asked for, by the job of its first choice, for as long as one of them runs."""
        self._bell = Bell(url, session.keys, patience=TIMEOUT)

    async def aclose(self) -> None:
        """Close the connection that waits for the bell."""
        await self._bell.aclose()

    async def wait_for_bell(self) -> None:
        """Return when a job has come, or after `BELL_WAIT` seconds."""
        await self._bell.wait()

    async def dispatch(self, count: int, limits: Mapping[str, int] = NO_LIMITS) -> list[Dispatched]:
        """Take up to `count` jobs, in fair order; of a model in `limits`, no more than it says.

        A job that a gateway of another version has written, and that cannot be read, is failed.
        """
        call = Dispatch(worker=self._worker, count=count, room=limits, too_late=TOO_LATE)
        jobs = await self._session.run(call)
        for job in jobs:
            if isinstance(job, Unreadable):
                _log.error("job %s cannot be read: %s", job.job, job.error)
                await self.append([Record(job.job, job.epoch, 1, (_UNREADABLE,))])
        return [self._sharing(job) for job in jobs if isinstance(job, Dispatched)]

    def _sharing(self, taken: Dispatched) -> Dispatched:
        """Return the job with the words of another choice of its request, while one runs here."""
        first = first_choice(taken.job.id)
        if request := self._requests.get(first):
            job = msgspec.structs.replace(request, id=taken.job.id)
            taken = msgspec.structs.replace(taken, job=job)
        self._requests[first] = taken.job
        return taken

    async def append(
        self,
        records: Sequence[Record],
        notes: Sequence[CallNote] = (),
        costs: Mapping[str, Cost] = NO_COSTS,
    ) -> list[int]:
        """Append to the logs of these jobs and tell their gateways; see append.lua."""
        return await self._session.run(Append(records, notes, costs))

    async def requeue(
        self,
        job: str,
        epoch: int,
        *,
        pause: float = 0.0,
        tried: Iterable[str] = (),
        failures: int = 0,
        to_others: bool = False,
    ) -> bool:
        """Return a job without output to its place in the queue; False: it is no longer ours.

        A job with output, whose end Redis has lost, is ended. `pause` is in seconds. `to_others`:
        this worker has no token left for the job, so another should get it first.
        """
        return await self._session.run(
            Requeue(
                worker=self._worker,
                job=job,
                epoch=epoch,
                delay=pause,
                tried=tried,
                failures=failures,
                to_others=to_others,
                interrupted=INTERRUPTED,
            )
        )

    async def return_orphan(self, job: str, epoch: int) -> None:
        """Return a job of ours that we do not know; see requeue.lua."""
        await self._session.run(
            Requeue(worker=self._worker, job=job, epoch=epoch, tried=None, interrupted=INTERRUPTED)
        )

    async def note_sending(self, job: str, epoch: int) -> bool:
        """Note that a call for this job is about to leave; False: it must not."""
        return await self._session.run(NoteCall(job, epoch, "sent"))

    async def note_failed(self, job: str, epoch: int, tried: Iterable[str], failures: int) -> None:
        """Note that the present call of this job has failed so that the job may be asked again.

        `tried` and `failures` are what has failed the job by now.
        """
        await self._session.run(NoteCall(job, epoch, "failed", tried, failures))

    async def owned(self) -> set[str]:
        """Return the jobs that are this worker's."""
        jobs = await reply_of(self._session.redis.smembers(self._session.keys.owned(self._worker)))
        return {job.decode() for job in jobs}

    async def orphans(self, running: Collection[str]) -> list[tuple[str, int]]:
        """Return the jobs, with their epochs, that are ours in Redis and that do not run here."""
        redis = self._session.redis
        lost = [job for job in await self.owned() if job not in running]
        epochs = [await reply_of(redis.hget(self._session.keys.job(job), "epoch")) for job in lost]
        if forgotten := [job for job, epoch in zip(lost, epochs, strict=True) if not epoch]:
            await reply_of(redis.srem(self._session.keys.owned(self._worker), *forgotten))
        return [(job, int(epoch)) for job, epoch in zip(lost, epochs, strict=True) if epoch]

    async def cancelled(self, jobs: Iterable[str]) -> list[str]:
        """Return those of these jobs whose clients have left."""
        ids = list(jobs)
        async with self._session.redis.pipeline(transaction=False) as pipe:
            for job in ids:
                pipe.hget(self._session.keys.job(job), "cancelled")
            return [job for job, left in zip(ids, await pipe.execute(), strict=True) if left]

    @asynccontextmanager
    async def cancellations(self) -> AsyncIterator[AsyncIterator[str]]:
        """Inside the block, iterate the ids of jobs whose clients have left."""
        async with self._session.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
            await pubsub.subscribe(self._session.keys.control(self._worker))

            async def ids() -> AsyncIterator[str]:
                asked = False
                while True:
                    message = await pubsub.get_message(timeout=TIMEOUT)
                    if message is not None:
                        asked = False
                        if message["type"] == "message":
                            yield message["data"].decode()
                    elif asked:
                        raise exceptions.ConnectionError("the subscription is silent")
                    else:
                        # A connection that was lost without a word looks just as idle.
                        await pubsub.ping()
                        asked = True

            yield ids()
