"""Kills processes while clients ask, then compares what clients saw with Redis's and Poe's records.

Used by a short test and by `bench/chaos.py`, which runs the same for minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from redis.asyncio import Redis

from contract.messages import Record, is_terminal
from runtime import tasks
from simulated_poe import long_text
from store.faults import RedisFault
from tests.support.deployment import (
    KEY,
    Child,
    Deployment,
    Gateway,
    eventually,
    free_port,
    spawn,
)
from tests.support.keys import keys

SETTLED = 60.0
"""Seconds within which all jobs end after the last client has gone; a dead gateway's take 15."""

_REFUSALS = {"unavailable", "queue_full", "queue_timeout", "overloaded"}
"""Codes of errors after which a client may retry, because nothing was done."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Plan:
    """How much to ask and what to kill, in seconds and counts."""

    requests: int = 1000
    at_once: int = 24
    words: tuple[int, int] = (50, 250)
    """The minimum and maximum words of an answer."""
    every: float = 0.03
    """Seconds between two words."""
    workers: int = 4
    gateways: int = 2
    accounts: int = 10
    max_in_flight: int = 6
    kill_worker_every: float = 5.0
    kill_gateway_every: float = 20.0
    restart_redis_after: int = 500
    """Answered requests after which Redis is killed, and restarted with its AOF."""
    streamed: float = 0.6
    leaving: float = 0.1
    """The share of clients that leave during their answer."""
    keyed: float = 0.3
    """The share of clients with an Idempotency-Key, who return with it when their gateway dies."""
    seed: int = 1


@dataclass(frozen=True)
class Question:
    """One request."""

    number: int
    text: str
    answer: str
    stream: bool
    leaves_after: float | None
    key: str | None

    @property
    def body(self) -> dict[str, Any]:
        messages = [{"role": "user", "content": self.text}]
        return {"model": "Long", "messages": messages, "stream": self.stream}


@dataclass
class Memory:
    """The memory of one process over time, as (seconds, bytes)."""

    name: str
    looks: list[tuple[float, int]] = field(default_factory=list)

    def look(self, pid: int, at: float) -> None:
        with suppress(OSError):
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            self.looks.append((at, pages * _PAGE))

    @property
    def slope(self) -> float:
        """The growth in MiB per minute, without the first quarter, in which caches fill."""
        looks = self.looks[len(self.looks) // 4 :]
        if len(looks) < 3:
            return 0.0
        middle = sum(at for at, _ in looks) / len(looks)
        spread = sum((at - middle) ** 2 for at, _ in looks)
        return sum((at - middle) * size for at, size in looks) / spread * 60 / 2**20


@dataclass
class Outcome:
    """The result of a run."""

    endings: Counter[str] = field(default_factory=Counter)
    """How requests ended for their clients."""
    wrong: list[str] = field(default_factory=list)
    """Violated expectations, each a sentence."""
    seconds: float = 0.0
    accepted: int = 0
    """Jobs that were queued, according to Redis."""
    calls: int = 0
    """Calls that Poe received."""
    worker_kills: int = 0
    gateway_kills: int = 0
    redis_kills: int = 0
    in_flight: int = 0
    """Jobs on workers when these were killed."""
    refused: int = 0
    """Requests that were refused and retried."""
    came_back: int = 0
    """Requests that returned with their key after their gateway had died."""
    memory: list[Memory] = field(default_factory=list)


class _Cut(Exception):
    """The connection broke before the end of the answer."""


async def chaos(deployment: Deployment, plan: Plan) -> Outcome:
    """Run a plan."""
    stage = await _Stage.set(deployment, plan)
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        beside = [group.create_task(stage.cause_trouble()), group.create_task(stage.watch())]
        await stage.ask_all()
        await tasks.end(beside)
    stage.outcome.seconds = time.monotonic() - began
    await stage.settle()
    await stage.judge()
    return stage.outcome


class _Stage:
    """The processes of one run; the first worker and the first gateway are never killed."""

    def __init__(self, deployment: Deployment, plan: Plan, poe_url: str) -> None:
        self.outcome = Outcome()
        self._deployment = deployment
        self._plan = plan
        self._poe_url = poe_url
        self._dice = random.Random(plan.seed)
        self._workers: list[Child] = []
        self._gateways: list[Gateway] = []
        self._killed: set[int] = set()
        """Ports of gateways that were killed."""
        self._jobs: dict[int, str] = {}
        """The id of the answer to each request with a key."""
        self._half_time = asyncio.Event()
        self._redis: Any = Redis.from_url(deployment.redis.url, protocol=2)

    @classmethod
    async def set(cls, deployment: Deployment, plan: Plan) -> _Stage:
        """Start everything."""
        stage = cls(deployment, plan, await _start_poe(deployment))
        stage._workers = list(
            await asyncio.gather(*(stage._start_worker() for _ in range(plan.workers)))
        )
        stage._gateways = list(
            await asyncio.gather(*(stage._start_gateway() for _ in range(plan.gateways)))
        )
        return stage

    async def _start_worker(self) -> Child:
        tokens = ",".join(f"sim-{n}" for n in range(self._plan.accounts))
        config = f"rateLimit = 10000\ncoolDown = 0\nmaxInFlight = {self._plan.max_in_flight}\n"
        return await self._deployment.start_worker(
            config=config, tokens=tokens, poe_url=self._poe_url
        )

    async def _start_gateway(self) -> Gateway:
        return await self._deployment.start_gateway(config="queueTimeout = 120\n")

    # Failures.

    async def cause_trouble(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._kill_workers())
            group.create_task(self._kill_gateways())
            group.create_task(self._restart_redis())

    async def _kill_workers(self) -> None:
        while True:
            await asyncio.sleep(self._plan.kill_worker_every)
            victim = self._dice.choice(self._workers[1:])
            self._workers.remove(victim)
            await self._note_in_flight(victim)
            victim.send(signal.SIGKILL)
            self.outcome.worker_kills += 1
            self._workers.append(await self._start_worker())

    async def _note_in_flight(self, victim: Child) -> None:
        # Frozen first, so that nothing begins or ends between the count and the kill.
        victim.send(signal.SIGSTOP)
        name = re.search(r'"worker":"([^"]+)"', victim.output())
        while name:
            try:
                self.outcome.in_flight += await self._redis.scard(keys.owned(name[1]))
            except RedisFault:
                await asyncio.sleep(0.1)
            else:
                return

    async def _kill_gateways(self) -> None:
        while True:
            await asyncio.sleep(self._plan.kill_gateway_every)
            victim = self._dice.choice(self._gateways[1:])
            self._killed.add(victim.port)
            self._gateways.remove(victim)
            victim.child.send(signal.SIGKILL)
            self.outcome.gateway_kills += 1
            self._gateways.append(await self._start_gateway())

    async def _restart_redis(self) -> None:
        await self._half_time.wait()
        server = self._deployment.redis
        assert server.child is not None
        await server.child.stop(signal.SIGKILL)
        self.outcome.redis_kills += 1
        await server.start()

    async def watch(self) -> None:
        """Record the memory of the processes that are never killed."""
        lasting = {"gateway": self._gateways[0].child, "worker": self._workers[0]}
        self.outcome.memory = [Memory(name) for name in lasting]
        while True:
            for memory, child in zip(self.outcome.memory, lasting.values(), strict=True):
                memory.look(child.pid, time.monotonic())
            await asyncio.sleep(1.0)

    # Clients.

    async def ask_all(self) -> None:
        """Send all requests, `concurrent` at a time."""
        questions = iter([self._question(n) for n in range(self._plan.requests)])

        async def client(http: aiohttp.ClientSession) -> None:
            for question in questions:
                self.outcome.endings[await self._ask(http, question)] += 1
                if self.outcome.endings.total() == self._plan.restart_redis_after:
                    self._half_time.set()

        # One connection each: a reused one may be dead, which would look like a lost answer.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        headers = {"authorization": f"Bearer {KEY}"}
        async with aiohttp.ClientSession(connector=connector, headers=headers) as http:
            await asyncio.gather(*(client(http) for _ in range(self._plan.at_once)))

    def _question(self, number: int) -> Question:
        plan, dice = self._plan, self._dice
        words = dice.randint(*plan.words)
        leaves = dice.random() < plan.leaving
        return Question(
            number=number,
            text=f"{words} words, seed {number}, every {plan.every * 1000:g}ms",
            answer=long_text(number, words),
            stream=dice.random() < plan.streamed,
            leaves_after=dice.uniform(0, words * plan.every) if leaves else None,
            key=f"key-{number}" if dice.random() < plan.keyed else None,
        )

    async def _ask(self, http: aiohttp.ClientSession, question: Question) -> str:
        """Send a request, with retries like a well-behaved client; return how it ended."""
        while True:
            gateway = self._dice.choice(self._gateways)
            try:
                async with asyncio.timeout(question.leaves_after):
                    ending = await self._ask_once(http, gateway, question)
            except TimeoutError:
                return "left"
            except aiohttp.ClientConnectorError:
                # Nothing was sent: nginx would try another gateway.
                await asyncio.sleep(0.02)
            except _Cut:
                if gateway.port not in self._killed:
                    self._complain(question, "was cut by a gateway that lives")
                if question.key is None:
                    return "cut with its gateway"
                self.outcome.came_back += 1
            else:
                if ending not in _REFUSALS:
                    return ending
                self.outcome.refused += 1
                await asyncio.sleep(0.5)

    async def _ask_once(
        self, http: aiohttp.ClientSession, gateway: Gateway, question: Question
    ) -> str:
        headers = {"idempotency-key": question.key} if question.key else {}
        url = f"{gateway.url}/v1/chat/completions"
        try:
            async with http.post(url, json=question.body, headers=headers) as reply:
                if reply.status != 200 or not question.stream:
                    return self._whole(question, reply, json.loads(await reply.read()))
                return await self._streamed(question, reply)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientError, ConnectionError) as error:
            raise _Cut from error

    def _whole(
        self, question: Question, reply: aiohttp.ClientResponse, body: dict[str, Any]
    ) -> str:
        if reply.status == 200:
            self._note_id(question, body["id"])
            self._compare(question, body["choices"][0]["message"]["content"])
            return "whole"
        code: str = body["error"]["code"]
        if code == "interrupted" and reply.headers.get("x-should-retry") != "false":
            self._complain(question, "failed after Poe may have charged, and may be retried")
        return self._failed(question, code)

    async def _streamed(self, question: Question, reply: aiohttp.ClientResponse) -> str:
        said = ""
        ends: list[str] = []
        async for event in _events(reply):
            if ends:
                self._complain(question, f"went on behind its end: {event[:80]}")
            if event == "[DONE]":
                ends.append("whole")
                self._compare(question, said)
                continue
            data = json.loads(event)
            if "id" in data:
                self._note_id(question, data["id"])
            if "error" in data:
                ends.append(self._failed(question, data["error"]["code"]))
            for choice in data.get("choices", ()):
                said += choice["delta"].get("content") or ""
            if not question.answer.startswith(said):
                self._complain(question, f"has words that are not Poe's: …{said[-80:]!r}")
                return "wrong"
        if not ends:
            self._complain(question, "ended without an end")
            return "wrong"
        return ends[0]

    def _note_id(self, question: Question, answer: str) -> None:
        if question.key and self._jobs.setdefault(question.number, answer) != answer:
            self._complain(question, "was given two answers for one key")

    def _compare(self, question: Question, said: str) -> None:
        if said != question.answer:
            self._complain(
                question, f"is not Poe's answer: {len(said)} of {len(question.answer)} characters"
            )

    def _failed(self, question: Question, code: str) -> str:
        if code not in {"interrupted", *_REFUSALS}:
            self._complain(question, f"failed with {code}")
        return code

    def _complain(self, question: Question, what: str) -> None:
        self.outcome.wrong.append(f"request {question.number} {what}")

    # Checks after the run.

    async def settle(self) -> None:
        """Wait until no job is left."""
        give_up = time.monotonic() + SETTLED
        while under_way := await self._under_way():
            if time.monotonic() > give_up:
                self.outcome.wrong.append(f"{under_way} is still under way after {SETTLED:g} s")
                return
            await asyncio.sleep(0.2)

    async def _under_way(self) -> dict[str, int]:
        """Return all job counters that are not 0."""
        counts = {"waiting": int(await self._redis.hget(keys.totals, "waiting") or 0)}
        async for key in self._redis.scan_iter(keys.client("*")):
            for name in ("open", "waiting", "running"):
                count = int(await self._redis.hget(key, name) or 0)
                counts[f"{key.decode()} {name}"] = count
        for pattern in (keys.grants("*"), keys.ring, keys.again):
            async for key in self._redis.scan_iter(pattern):
                counts[key.decode()] = await self._redis.zcard(key)
        for pattern in (keys.owned("*"), keys.served("*")):
            async for key in self._redis.scan_iter(pattern):
                counts[key.decode()] = await self._redis.scard(key)
        return {name: count for name, count in counts.items() if count}

    async def judge(self) -> None:
        """Compare what clients received with the logs of all jobs and with Poe's record."""
        outcome = self.outcome
        async for key in self._redis.scan_iter(keys.job("*")):
            fields = await self._redis.hgetall(key)
            # A job cancelled before it was enqueued leaves a key, but was never accepted.
            if b"client" in fields:
                outcome.accepted += 1
                await self._judge_job(key.decode().partition("{")[2].rstrip("}"), fields)
        url = f"{self._poe_url}/_simulated/record"
        async with aiohttp.ClientSession() as http, http.get(url) as reply:
            record = await reply.json()
        await self._redis.aclose()
        outcome.calls = len(record["calls"])
        if outcome.calls > outcome.accepted + outcome.in_flight:
            outcome.wrong.append(
                f"Poe was called {outcome.calls} times for {outcome.accepted} jobs, "
                f"and workers died with {outcome.in_flight}"
            )
        if running := [call for call in record["calls"] if call["ended"] is None]:
            outcome.wrong.append(f"{len(running)} calls are still under way at Poe")

    async def _judge_job(self, job: str, fields: dict[bytes, bytes]) -> None:
        entries = await self._redis.xrange(keys.log(job))
        events = [
            event
            for _, entry in entries
            for event in msgspec.msgpack.decode(entry[b"r"], type=Record).events
        ]
        ends = [event for event in events if is_terminal(event)]
        if fields[b"state"] != b"done":
            self.outcome.wrong.append(f"job {job} is {fields[b'state'].decode()}")
        if len(ends) > 1 or (ends and events[-1] is not ends[0]):
            self.outcome.wrong.append(f"job {job} goes on behind its end")
        if not ends and b"begun" in fields and b"cancelled" not in fields:
            self.outcome.wrong.append(f"job {job} has begun and never ended")


async def _start_poe(deployment: Deployment) -> str:
    port = free_port()
    settings = deployment.directory / "poe.json"
    settings.write_text('{"rate_limit": null}')
    argv = (sys.executable, "-m", "simulated_poe", "--port", str(port), "--config", str(settings))
    child = await spawn(deployment.directory / "poe.log", *argv)
    deployment.children.append(child)
    await eventually(lambda: "simulated poe on" in child.output(), "the simulated Poe")
    return f"http://127.0.0.1:{port}"


async def _events(reply: aiohttp.ClientResponse) -> AsyncIterator[str]:
    """Yield the data of each complete event of a stream."""
    rest = b""
    async for piece in reply.content.iter_any():
        *events, rest = (rest + piece).split(b"\n\n")
        for event in events:
            if event.startswith(b"data: "):
                yield event.removeprefix(b"data: ").decode()
