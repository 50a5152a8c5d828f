"""A worker without Poe: takes jobs like a real one, and answers as a test's script says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis

from contract import scripts
from contract.calls.call import Call
from contract.calls.worker import Append, Dispatch, Dispatched, Reclaim, WorkerHeartbeat
from contract.messages import (
    Catalogue,
    Event,
    Failed,
    FailureKind,
    Finished,
    Job,
    Record,
    Started,
    Text,
    TokenCounts,
    WorkerReport,
)
from runtime import tasks
from tests.support.deployment import PATIENCE
from tests.support.keys import keys

LIFE = 600.0

R = TypeVar("R")

encode = msgspec.msgpack.encode
_TOO_LATE = Failed(FailureKind.QUEUE_TIMEOUT, "too late")


class Answering:
    """One job that the worker has taken."""

    def __init__(self, worker: ScriptedWorker, job: Job, epoch: int) -> None:
        self.job = job
        self._worker = worker
        self._epoch = epoch
        self._seq = 0

    def record(self, *events: Event) -> Record:
        """Return the next record of this answer."""
        self._seq += 1
        return Record(self.job.id, self._epoch, self._seq, events)

    async def begin(self) -> None:
        await self.say(Started(self._worker.name, 1, self.job.model))

    async def say(self, *events: Event) -> int:
        """Append a record like a worker, and return append.lua's verdict."""
        return (await self._worker.append([self.record(*events)]))[0]

    async def log_only(self, *events: Event) -> Record:
        """Append a record whose frame is lost on its way to the gateway."""
        record = self.record(*events)
        redis, job = self._worker.redis, keys.job(self.job.id)
        gateway = await redis.hget(job, "gateway")
        await redis.hset(job, "gateway", "nobody")
        await self._worker.append([record])
        await redis.hset(job, "gateway", gateway)
        return record

    async def put_in_log(self, epoch: int, seq: int, entry: bytes) -> None:
        """Append arbitrary bytes to the log."""
        await self._worker.redis.xadd(keys.log(self.job.id), {"r": entry}, id=f"{epoch}-{seq}")

    async def publish(self, frame: bytes) -> None:
        """Publish arbitrary bytes to the gateway that follows this job."""
        gateway = await self._worker.redis.hget(keys.job(self.job.id), "gateway")
        assert gateway is not None
        await self._worker.redis.publish(keys.events(gateway.decode()), frame)

    async def frame_only(self, *records: Record) -> None:
        """Publish records without appending them: repeated, or too early."""
        await self.publish(encode(list(records)))


Script = Callable[[Answering], Awaitable[Any]]


class ScriptedWorker:
    """A worker that sends one heartbeat, which lasts longer than any test."""

    def __init__(self, redis: Redis, name: str) -> None:
        self.redis = redis
        self.name = name
        self.cancelled: asyncio.Queue[str] = asyncio.Queue()
        """The jobs that the control channel has told it to stop."""
        self._script = {
            name: redis.register_script(scripts.source(name, keys.prefix))
            for name in ("worker_heartbeat", "dispatch", "append", "reclaim")
        }

    async def beat(
        self, tokens: TokenCounts | None = None, capacity: float = 100.0, others: int = 0
    ) -> None:
        """Send a heartbeat, with these tokens and with the number of usable unowned ones."""
        report = WorkerReport(self.name, "test", tokens or TokenCounts(free=1), 0, capacity, others)
        await self._run(WorkerHeartbeat(worker=self.name, lease_life=LIFE, report=report))

    async def take(self, script: Script | None = None) -> Answering:
        """Wait for the next job, take it and run `script` on it."""
        async with asyncio.timeout(PATIENCE):
            while not (taken := await self._dispatch(1)):
                await self.redis.brpop([keys.bell], timeout=1)
        if script is not None:
            await script(taken[0])
        return taken[0]

    async def append(self, records: Iterable[Record]) -> list[int]:
        return await self._run(Append(tuple(records)))

    async def reclaim(self) -> None:
        """Reclaim what dead workers and gateways have left."""
        end = Failed(FailureKind.INTERRUPTED, "interrupted")
        await self._run(Reclaim(max_deaths=2, interrupted=end, deadly=end, too_late=end))

    async def told_to_stop(self) -> str:
        """Wait until the control channel names a job."""
        async with asyncio.timeout(PATIENCE):
            return await self.cancelled.get()

    async def publish_catalogue(self, catalogue: Catalogue) -> None:
        await self.redis.set(keys.catalogue, encode(catalogue))
        await self.redis.set(keys.catalogue_version, repr(catalogue.fetched))

    async def _dispatch(self, count: int) -> list[Answering]:
        jobs = await self._run(Dispatch(worker=self.name, count=count, too_late=_TOO_LATE))
        return [Answering(self, job.job, job.epoch) for job in jobs if isinstance(job, Dispatched)]

    async def _run(self, call: Call[R]) -> R:
        return call.read(await self._script[call.script](args=[0, *call.arguments()]))

    async def _listen(self, pubsub: Any) -> None:
        async for message in pubsub.listen():
            self.cancelled.put_nowait(message["data"].decode())


@asynccontextmanager
async def scripted_worker(redis: Redis, name: str = "w-scripted") -> AsyncIterator[ScriptedWorker]:
    """Run a worker that receives cancellations inside the block."""
    worker = ScriptedWorker(redis, name)
    await worker.beat()
    # Named, so that a test can distinguish this subscription from a gateway's.
    place = {key: redis.get_connection_kwargs()[key] for key in ("host", "port", "db")}
    ears = Redis(**place, protocol=2, client_name=name)
    async with ears, ears.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(keys.control(name))
        listening = asyncio.create_task(worker._listen(pubsub))
        try:
            yield worker
        finally:
            await tasks.end([listening])


@asynccontextmanager
async def answering_all(worker: ScriptedWorker, script: Script) -> AsyncIterator[None]:
    """Run the script on every job that arrives inside the block."""

    async def answer() -> None:
        while True:
            await script(await worker.take())

    answering = asyncio.create_task(answer())
    try:
        yield
    finally:
        await tasks.end([answering])


async def words(answering: Answering, text: str = "one two three") -> None:
    """Answer with these words, each in its own record."""
    await answering.begin()
    for word in text.split():
        await answering.say(Text(f"{word} "))
    await answering.say(Finished())
