"""The gateway's only Redis: jobs go out, answers come in.

What is followed hears the frames of the subscription, and is told to look into its log whenever a
frame may have been missed: after a new connection, and after a second of silence.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import msgspec

from contract.calls.clock import CheckClock, ClockReading
from contract.calls.gateway import (
    Admission,
    Cancel,
    Claim,
    Claimed,
    Enqueue,
    GatewayHeartbeat,
    Rejection,
    Resumable,
    Ticket,
    Withdraw,
)
from contract.codec import decode_catalogue, decode_frame, decode_record, decode_report, encode
from contract.keys import DEFAULT_KEYS, Keys, choice
from contract.messages import (
    Catalogue,
    Job,
    Record,
)
from gateway.queue.batch import Batch
from gateway.queue.fleet import Fleet
from gateway.queue.follower import PAGE, SILENCE, Follower
from gateway.queue.position import Standing
from gateway.queue.subscriber import Subscriber
from runtime import tasks
from store import clock
from store.client import connect
from store.faults import RedisFault
from store.link import Link

_log = logging.getLogger("gateway.hub")

T = TypeVar("T")

PATIENCE = 0.9
"""Seconds that a client's request may wait for Redis before it gets a 503."""

PATIENCE_PER_MIB = 0.1
"""Seconds more for each MiB of the request: Redis reads, copies and writes all of it."""

UNWANTED_LIFE = 3600.0
"""Seconds for which it is tried to cancel a job, should Redis be away for that long."""

LATENESS = 1.0
"""Seconds by which our idea of Redis's clock may be wrong."""

CANCEL_PAUSE = 0.5
"""Seconds between two tries."""

MAX_DEPARTURES = 10_000
"""Jobs that Redis is still to be told to cancel, from which on nothing new is sent to it: of what
fails then, one more would have to be remembered."""

MAX_STANDINGS = 1000
"""Clients that an estimate of the wait takes into account."""


LARGE = 256 * 1024
"""Bytes of a request from which on Redis is first asked whether it would take it."""

MIB = 1024 * 1024


class Full(Exception):
    """As many requests wait as may."""


class Heavy(Exception):
    """As many bytes of requests are stored as may be."""


class TooLarge(Exception):
    """The request is larger than all that may be stored for its client."""


class Mismatch(Exception):
    """The idempotency key belongs to another request."""


class Forgotten(Exception):
    """The idempotency key leads to this job no longer: it has just ended, and cost nothing."""


class Limited(Exception):
    """The client asks more than it may."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__()
        self.retry_after = retry_after
        """Seconds after which it may ask again; None: when one of its requests has ended."""


@dataclass(frozen=True)
class Departure:
    """A reader that has left a job, which perhaps nobody wants any longer."""

    job: str
    resumable: Resumable | None
    at_once: bool


class Hub:
    """One gateway's connection to everything else."""

    def __init__(self, url: str, gateway: str, keys: Keys = DEFAULT_KEYS) -> None:
        self.gateway = gateway
        self._keys = keys
        self.now = time.monotonic()
        """The monotonic clock, as of the last tick or frame: precise enough for silences."""
        self.batch = Batch()
        """What one frame, or one page of a log, brings."""
        self._live: dict[str, list[Follower]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._departures: dict[Departure, float] = {}
        """What Redis is to be told of, and until when (monotonic) it is worth trying."""
        self.took_work_at = -math.inf
        """When Redis was last seen to take work, on the monotonic clock; -inf since it failed."""
        self._clock = clock.Clock()
        self._cancelling: asyncio.Task[None] | None = None
        self._catalogue: tuple[bytes | None, Catalogue | None] = (None, None)
        """Its version and what it was when last read: it is large, and rarely another."""
        self._redis = connect(url, connections=32, timeout=5.0)
        self._link = Link(url, keys, timeout=5.0)
        self._bulk = Link(url, keys, timeout=5.0)
        """For large requests, behind which no small one shall wait."""
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
                # Dead, not unheard of: whatever it has left behind is then reclaimed.
                await self._redis.zadd(self._keys.gateways, {self.gateway: 0})
            await self._link.aclose()
            await self._bulk.aclose()
            await self._redis.aclose()

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine beside everything else."""
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
        """Deliver nothing more to this one."""
        follower.stop()
        others = self._live.get(follower.job, [])
        if follower in others:
            others.remove(follower)
        if not others:
            self._live.pop(follower.job, None)

    async def claim(self, key: str, body: str, job: str, created: int) -> tuple[str, int] | None:
        """Return the job that answers the requests with this idempotency key, and its birthday.

        That is `job`, if it is the first; None, if it would be and is empty. Raises Mismatch, or
        RedisFault within `PATIENCE`.
        """
        claim = Claim(key=key, body=body, job=job, created=created)
        match await self._asked(self._link.run(claim, "0")):
            case Claimed(answering, birthday):
                return answering, birthday
            case "another body":
                raise Mismatch
            case _:
                return None

    async def has(self, ids: Iterable[tuple[str, str]]) -> bool:
        """Tell whether each job's log has a record of this id.

        Raises RedisFault within `PATIENCE`.
        """
        async with self._redis.pipeline(transaction=False) as pipe:
            for job, record in ids:
                pipe.xrange(self._keys.log(job), record, record)
            return all(await self._asked(pipe.execute()))

    async def submit(
        self, job: Job, choices: int, terms: Admission, resumable: Resumable | None = None
    ) -> Ticket:
        """Queue a request, a job for each of its choices, or join its readers; all or none.

        `job` is the first of them. Raises Full, Heavy, TooLarge, Limited, Forgotten, or RedisFault
        within `PATIENCE`, and `PATIENCE_PER_MIB`, of Redis's last reply.
        """
        if len(self._departures) >= MAX_DEPARTURES:
            raise ConnectionError("Redis has not been told of the last departures yet")
        payload = encode(job)
        if len(payload) > min(terms.max_stored, terms.max_stored_total):
            raise TooLarge
        enqueue = Enqueue(
            job=job.id,
            client=job.client,
            gateway=self.gateway,
            payload=payload,
            size=len(payload),
            choices=choices,
            terms=terms,
            resumable=resumable,
        )
        try:
            if len(payload) > LARGE:
                # So that one who may store no more does not keep Redis busy with what it refuses.
                await self._enqueued(msgspec.structs.replace(enqueue, payload=b""))
            ticket = await self._enqueued(enqueue)
        except (Full, Heavy, Limited, Forgotten):
            raise
        except BaseException:
            # It may have been queued for all we know.
            for number in range(choices):
                self.leave(choice(job.id, number), resumable, at_once=True)
            raise
        assert ticket is not None  # noqa: S101  # it did not only ask
        return ticket

    async def _enqueued(self, enqueue: Enqueue) -> Ticket | None:
        size = len(enqueue.payload)
        patience = PATIENCE + PATIENCE_PER_MIB * (size / MIB)
        link = self._bulk if size > LARGE else self._link
        enqueue = msgspec.structs.replace(enqueue, not_after=self._not_after(patience))
        reply = await self._asked(link.run(enqueue, self._now(patience)), patience)
        if isinstance(reply, Rejection):
            raise _refusal(reply)
        return reply

    async def withdraw(self, job: str, choices: int, resumable: Resumable | None) -> bool:
        """End a request that waits, unless it may have to be paid for; return whether it has ended.

        Raises RedisFault within `PATIENCE`.
        """
        withdraw = Withdraw(job=job, choices=choices, gateway=self.gateway, resumable=resumable)
        return await self._asked(self._link.run(withdraw, self._now()))

    async def _asked(self, call: Coroutine[Any, Any, T], patience: float = PATIENCE) -> T:
        """Return what Redis replies. Raises RedisFault within `patience` seconds."""
        try:
            return await within(patience, call)
        except RedisFault:
            self.took_work_at = -math.inf
            raise

    def _not_after(self, patience: float) -> float | None:
        """When, by Redis's clock, we shall have given up: for a Redis that was frozen meanwhile."""
        if not self._clock.known:
            return None
        return self._clock.at(time.monotonic()) + patience + LATENESS

    def _now(self, patience: float = PATIENCE) -> str:
        """The time that a script may find: one that runs so late may see that it does."""
        now: str = self._clock.bounds(time.monotonic(), patience + 2 * LATENESS)
        return now

    async def _keep_time(self) -> None:
        def run(check: CheckClock) -> Coroutine[Any, Any, ClockReading]:
            return self._link.run(check, self._clock.bounds(time.monotonic()))

        if step := await clock.keep_time(self._clock, run):
            _log.warning(clock.described(step))

    def cancel(self, job: str) -> None:
        """Nobody can read this answer: see to it that no point is spent on it."""
        self.leave(job, None, at_once=True)

    def leave(self, job: str, resumable: Resumable | None, *, at_once: bool) -> None:
        """A reader of this answer has left: unless there are others, no point may be spent on it.

        A job that may be resumed goes on for its grace first, if not `at_once`.
        """
        departure = Departure(job, resumable, at_once)
        self._departures[departure] = time.monotonic() + UNWANTED_LIFE
        if self._cancelling is None or self._cancelling.done():
            self._cancelling = self.spawn(self._tell_departures())

    async def _tell_departures(self) -> None:
        # One task for all: each request that fails while Redis is gone leaves one here.
        while page := list(islice(self._departures, PAGE)):
            try:
                await self._tell(page)
            except RedisFault as fault:
                _log.warning("cannot cancel %d jobs yet: %r", len(self._departures), fault)
                await asyncio.sleep(CANCEL_PAUSE)
                now = time.monotonic()
                page = [departure for departure in page if self._departures[departure] <= now]
            for departure in page:
                self._departures.pop(departure, None)

    async def _tell(self, departures: Iterable[Departure]) -> None:
        await asyncio.gather(
            *(self._link.run(self._cancelled(each), self._now()) for each in departures)
        )

    def _cancelled(self, departure: Departure) -> Cancel:
        return Cancel(
            job=departure.job,
            gateway=self.gateway,
            resumable=departure.resumable,
            at_once=departure.at_once,
        )

    async def read(self, job: str, after: str) -> list[Record]:
        """Read on in a job's log."""
        rows: Any = await self._redis.xrange(self._keys.log(job), f"({after}", "+", count=PAGE)
        return [decode_record(fields[b"r"]) for _, fields in rows]

    async def look(self) -> Fleet:
        """Look around, and be seen. Raises RedisFault."""
        await self._keep_time()
        await self._link.run(GatewayHeartbeat(self.gateway), self._now())
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.hmget(self._keys.clock, ["steps", "offset"])
            pipe.zrange(self._keys.workers, 0, -1)
            pipe.hmget(self._keys.totals, ["waiting", "dispatched"])
            pipe.zrange(self._keys.ring, 0, MAX_STANDINGS - 1, withscores=True)
            pipe.get(self._keys.catalogue_version)
            pipe.info("memory")
            replies: list[Any] = await pipe.execute()
        (steps, offset), workers, totals, ring, version, memory = replies
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in workers:
                pipe.get(self._keys.worker(name.decode()))
            for client, _ in ring:
                pipe.hmget(self._keys.client(client.decode()), ["weight", "waiting", "gone"])
            replies = await pipe.execute()
        rows = replies
        reports = [_readable(decode_report, row) for row in rows[: len(workers)]]
        return Fleet(
            at=time.monotonic(),
            workers=tuple(filter(None, reports)),
            waiting=int(totals[0] or 0),
            dispatched=int(totals[1] or 0),
            clock_steps=int(steps or 0),
            clock_offset=int(offset or 0) / 1000,
            standings={
                client.decode(): Standing(
                    turn, float(weight or 1), int(waiting or 0), int(gone or 0)
                )
                for (client, turn), (weight, waiting, gone) in zip(
                    ring, rows[len(workers) :], strict=True
                )
            },
            catalogue=await self._current_catalogue(version),
            maxmemory=int(memory.get("maxmemory", 0)),
        )

    async def see_that_it_takes_work(self) -> None:
        """Raises RedisFault where new work would be refused, as by a Redis that is full."""
        try:
            # It writes nothing, and is refused as that which would.
            await self._redis.setrange(self._keys.ring + ":none", 0, "")
        except RedisFault:
            self.took_work_at = -math.inf
            raise
        self.took_work_at = time.monotonic()

    async def _current_catalogue(self, version: bytes | None) -> Catalogue | None:
        if version != self._catalogue[0]:
            found: Any = await self._redis.get(self._keys.catalogue)
            self._catalogue = version, _readable(decode_catalogue, found)
        return self._catalogue[1]

    async def look_after_the_silent(self) -> None:
        """Look into the logs of all jobs of which nothing was heard for long. Raises RedisFault."""
        self.now = time.monotonic()
        silent = [f for f in self._all() if f.look_at <= self.now and not f.is_paused]
        for start in range(0, len(silent), PAGE):
            page = silent[start : start + PAGE]
            found: Any = await self._redis.xread(
                {self._keys.log(f.job): f.last_id for f in page}, count=1, block=None
            )
            news = {name.decode() for name, _ in found}
            for follower in page:
                follower.put_off(self.now)
                if self._keys.log(follower.job) in news:
                    follower.read_log()
            await self._see_that_they_exist(
                [f for f in page if f.is_long_silent and self._keys.log(f.job) not in news]
            )

    async def _see_that_they_exist(self, silent: list[Follower]) -> None:
        # A Redis that was emptied, or lost its disk, knows nothing of them and never will. And
        # who counted this gateway as dead while it was frozen has ended its jobs.
        if not silent:
            return
        async with self._redis.pipeline(transaction=False) as pipe:
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
            # Whose it is cannot be told; each log can.
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


async def within(seconds: float, call: Coroutine[Any, Any, T]) -> T:
    """Return what the call returns. Raises TimeoutError when that takes longer.

    Not `asyncio.timeout`: redis-py waits with `asyncio.wait_for`, which in Python 3.11 swallows a
    cancellation that comes just when it is done, and the call would go on.
    """
    calling = asyncio.create_task(call)
    calling.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        done, _ = await asyncio.wait({calling}, timeout=seconds)
    finally:
        calling.cancel()
    if not done:
        raise TimeoutError
    return calling.result()


def _refusal(rejection: Rejection) -> Exception:
    """Return what to raise where a request is not queued."""
    match rejection.reason:
        case "full":
            return Full()
        case "heavy":
            return Heavy()
        case "limited":
            return Limited(rejection.number / 1000)
        case "busy":
            return Limited(None)
        case "forgotten":
            return Forgotten()
        case "late":
            return TimeoutError()


def _readable(decode: Callable[[bytes], T], data: bytes | None) -> T | None:
    """Decode what another process tells of itself, unless it is of a version we cannot read."""
    try:
        return decode(data) if data else None
    except msgspec.DecodeError as error:
        _log.warning("cannot read what another process tells: %s", error)
        return None
