"""A worker without a gateway: tests enqueue jobs and read answers from their logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from itertools import count
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from redis.asyncio import Redis

from contract import scripts
from contract.calls.call import Call
from contract.calls.gateway import NO_BLOBS, Admission, Cancel, Claim, Enqueue, Resumable
from contract.config import ModelSettings
from contract.keys import idempotency
from contract.lifetimes import ANSWER_LIFE
from contract.messages import (
    Event,
    Failed,
    Job,
    Message,
    Options,
    Reasoning,
    Record,
    Replaced,
    Started,
    Text,
    is_terminal,
)
from tests.support.deployment import eventually
from tests.support.keys import keys
from worker.config import PoeToken, WorkerConfig
from worker.poe.client import PoeClient
from worker.queue import Queue
from worker.service import Service

LEASE_LIFE = 1.0
"""Seconds; the minimum, so that tests with dead workers are quick."""

NOTHING_ASKED = Options()

R = TypeVar("R")


def token(secret: str, **limits: Any) -> PoeToken:
    """Return a token with its own account and practically no limits."""
    defaults: dict[str, Any] = {"account": secret, "rate_limit": 10_000, "cool_down": 0.0}
    return PoeToken(id=f"id-{secret}", label=f"label-{secret}", secret=secret, **defaults | limits)


@asynccontextmanager
async def working(
    redis_url: str,
    poe_url: str,
    *tokens: PoeToken,
    name: str = "w",
    models: Mapping[str, ModelSettings] = MappingProxyType({}),
    uploads_to: str | None = None,
    timeout: float = 180.0,
    answer_timeout: float = 3600.0,
    lease_life: float = LEASE_LIFE,
    use_responses: bool = True,
    reconcile_every: float = 0.0,
) -> AsyncIterator[Service]:
    """Run a worker in this process; after the block it has drained.

    `models` are settings by the models' names, in lower case.
    """
    config = WorkerConfig(
        redis_url=redis_url,
        poe_url=poe_url,
        tokens=tokens,
        models=dict(models),
        lease_life=lease_life,
        connect_timeout=5.0,
        drain_timeout=10.0,
        use_responses=use_responses,
        reconcile_every=reconcile_every,
    )
    async with (
        Queue(redis_url, name, lease_life=lease_life, max_attempts=2) as queue,
        PoeClient(
            poe_url,
            max_connections=100,
            uploads_to=uploads_to,
            timeout=timeout,
            answer_timeout=answer_timeout,
        ) as poe,
    ):
        service = Service(config, queue, poe, "test")
        running = asyncio.create_task(service.run())
        try:
            yield service
        finally:
            service.hurry()
            await running


class Asking:
    """Does what a gateway does to Redis."""

    def __init__(self, redis: Redis) -> None:
        self.redis: Any = redis
        self._script = {
            name: redis.register_script(scripts.source(name, keys.prefix))
            for name in ("enqueue", "claim", "cancel")
        }
        self._numbers = count()

    async def ask(
        self,
        bot: str,
        text: str = "hello",
        *,
        messages: tuple[Message, ...] = (),
        options: Options = NOTHING_ASKED,
        stream: bool = False,
        client: str = "ann",
        wait: float = 60.0,
        keyed: bool = False,
        choices: int = 1,
        blobs: Mapping[str, bytes] = NO_BLOBS,
    ) -> str:
        """Queue a question, with an idempotency key if `keyed`; returns the (first) job's id."""
        number = next(self._numbers)
        job = Job(
            f"job{number}",
            client,
            bot,
            messages or (Message("user", text),),
            options,
            stream=stream,
        )
        payload = msgspec.msgpack.encode(job)
        await self._run(
            Enqueue(
                job=job.id,
                client=client,
                gateway="g1",
                payload=payload,
                size=len(payload) + sum(map(len, blobs.values())),
                blobs=blobs,
                choices=choices,
                terms=Admission(wait, 1, 1000, 10_000, None, None, 10**9, 10**9),
                resumable=await self._claimed(job) if keyed else None,
            )
        )
        return job.id

    async def _claimed(self, job: Job) -> Resumable:
        key = idempotency(job.client, f"key of {job.id}")
        await self._run(Claim(key=key, body="digest", job=job.id, created=0))
        return Resumable(key, "reader", grace=60.0, keep=ANSWER_LIFE)

    async def cancel(self, job: str) -> str:
        return await self._run(Cancel(job=job))

    async def _run(self, call: Call[R]) -> R:
        return call.read(await self._script[call.script](args=[0, *call.arguments()]))

    async def records(self, job: str) -> list[Record]:
        entries = await self.redis.xrange(keys.log(job))
        return [msgspec.msgpack.decode(fields[b"r"], type=Record) for _, fields in entries]

    async def events(self, job: str) -> list[Event]:
        return [event for record in await self.records(job) for event in record.events]

    async def answer(self, job: str) -> list[Event]:
        """Wait until the job has ended, and return all events."""

        async def ended() -> list[Event]:
            events = await self.events(job)
            return events if events and is_terminal(events[-1]) else []

        events: list[Event] = await eventually(ended, f"the end of {job}")
        return events

    async def begun(self, job: str) -> None:
        """Wait for the first text."""

        async def says_something() -> str:
            return said(await self.events(job))

        await eventually(says_something, f"the first words of {job}")

    async def state(self, job: str) -> str:
        state: bytes = await self.redis.hget(keys.job(job), "state")
        return state.decode()

    async def counts(self, client: str = "ann") -> dict[str, int]:
        """Return the counts of the client's unfinished jobs."""
        names = ("waiting", "running", "open")
        values = await self.redis.hmget(keys.client(client), names)
        return {name: int(value or 0) for name, value in zip(names, values, strict=True)}


def said(events: Collection[Event]) -> str:
    """Return the text of an answer."""
    text = ""
    for event in events:
        if isinstance(event, Text):
            text += event.text
        elif isinstance(event, Replaced):
            text = event.text
        assert not isinstance(event, Reasoning)
    return text


def tokens_of(events: Collection[Event]) -> list[str]:
    """Return the secrets of the tokens of all attempts."""
    return [event.token.removeprefix("label-") for event in events if isinstance(event, Started)]


def failure(events: list[Event]) -> Failed:
    """Return the failure with which an answer ended; it must have ended once."""
    ends = [event for event in events if is_terminal(event)]
    assert len(ends) == 1
    assert isinstance(ends[0], Failed), ends[0]
    assert events[-1] is ends[0]
    return ends[0]
