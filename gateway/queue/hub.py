"""The answers of all jobs that a gateway follows, as they come in.

A follower gets the frames of the subscription, and reads its log whenever it may have missed one:
after a new connection, and after a second of silence.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import msgspec
from redis.exceptions import OutOfMemoryError

from contract.codec import decode_frame, decode_record
from contract.keys import DEFAULT_KEYS, Keys
from contract.messages import Record
from gateway.queue.batch import Batch
from gateway.queue.departures import Departures
from gateway.queue.follower import PAGE, SILENCE, Follower
from gateway.queue.groups import Groups
from gateway.queue.jobs import ROOM, Jobs
from gateway.queue.kept import KeptAnswers
from gateway.queue.server import PATIENCE, Server
from gateway.queue.subscriber import Subscriber
from gateway.queue.survey import Survey
from runtime import tasks
from store.faults import RedisFault

_log = logging.getLogger("gateway.queue")

T = TypeVar("T")


class Hub:
    """One gateway's connection to its Redis, and the jobs that it follows there."""

    def __init__(self, url: str, gateway: str, keys: Keys = DEFAULT_KEYS) -> None:
        self._keys = keys
        self.gateway = gateway
        self.now = time.monotonic()
        """The monotonic clock, as of the last tick or frame: precise enough for silences."""
        self.batch = Batch()
        """What one frame, or one page of a log, brings."""
        self.server = Server(url, keys)
        self.departures = Departures(self.server, gateway, self.spawn)
        self.kept = KeptAnswers(self.server)
        self.jobs = Jobs(self.server, gateway, self.departures)
        self.groups = Groups(self.server)
        self.survey = Survey(self.server, gateway)
        self._live: dict[str, list[Follower]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._subscriber = Subscriber(url, self._keys.events(gateway), self._on_frame, self._on_gap)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """Inside the block, stay subscribed: that is the task, which never ends by itself."""
        subscription = asyncio.create_task(self._subscriber.run())
        try:
            yield subscription
        finally:
            if self._tasks:
                # The last clients to leave may just have left.
                await asyncio.wait(self._tasks, timeout=PATIENCE)
            await tasks.end([subscription, *self._tasks])
            with suppress(*RedisFault):
                # Now dead for everyone: workers reclaim what it leaves.
                await self.server.redis.zadd(self._keys.gateways, {self.gateway: 0})
            await self.server.aclose()

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine in a task of its own, which ends with the hub."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def follow(self, job: str, deliver: Callable[[Record], None]) -> Follower:
        """Deliver the records of a job, from its first on."""
        follower = Follower(self, job, deliver)
        follower.look_at = self.now + SILENCE
        self._live.setdefault(job, []).append(follower)
        return follower

    def unfollow(self, follower: Follower) -> None:
        """Deliver nothing more to this follower."""
        follower.stop()
        others = self._live.get(follower.job, [])
        if follower in others:
            others.remove(follower)
        if not others:
            self._live.pop(follower.job, None)

    def cancel(self, job: str) -> None:
        """Spend no point on an answer that nobody can read."""
        self.departures.cancel(job)

    async def probe_writes(self) -> None:
        """Raise RedisFault where new work would be refused; kept answers give way to it first."""
        try:
            await self.server.probe_writes()
        except OutOfMemoryError:
            if not await self.kept.make_room(ROOM):
                raise
            await self.server.probe_writes()

    async def read(self, job: str, after: str) -> list[Record]:
        """Read on in a job's log. Raises RedisFault."""
        rows: Any = await self.server.redis.xrange(
            self._keys.log(job), f"({after}", "+", count=PAGE
        )
        return [decode_record(fields[b"r"]) for _, fields in rows]

    async def check_silent_jobs(self) -> None:
        """Look into the logs of all jobs that have been silent for too long. Raises RedisFault."""
        self.now = time.monotonic()
        silent = [f for f in self._all() if f.look_at <= self.now and not f.is_paused]
        for start in range(0, len(silent), PAGE):
            page = silent[start : start + PAGE]
            found: Any = await self.server.redis.xread(
                {self._keys.log(f.job): f.last_id for f in page}, count=1, block=None
            )
            news = {name.decode() for name, _ in found}
            for follower in page:
                follower.put_off(self.now)
                if self._keys.log(follower.job) in news:
                    follower.read_log()
            await self._check_existence(
                [f for f in page if f.is_long_silent and self._keys.log(f.job) not in news]
            )

    async def _check_existence(self, silent: list[Follower]) -> None:
        # A Redis that was emptied, or lost its disk, has forgotten them; a worker that took this
        # gateway for dead while it was frozen has ended them.
        if not silent:
            return
        async with self.server.redis.pipeline(transaction=False) as pipe:
            for follower in silent:
                pipe.hget(self._keys.job(follower.job), "state")
            states: list[Any] = await pipe.execute()
        for follower, state in zip(silent, states, strict=True):
            if state in (None, b"done"):
                follower.vanish()

    def _on_frame(self, frame: bytes) -> None:
        self.now = time.monotonic()
        try:
            records = decode_frame(frame)
        except msgspec.DecodeError as error:
            # It is not known which jobs it concerns, so all logs are read.
            _log.error("a frame holds what no worker writes: %s", error)
            self._on_gap()
            return
        with self.batch:
            for record in records:
                for follower in tuple(self._live.get(record.job, ())):
                    follower.heard(record)

    def _on_gap(self) -> None:
        for follower in self._all():
            follower.read_log()

    def _all(self) -> list[Follower]:
        return [follower for group in self._live.values() for follower in group]
