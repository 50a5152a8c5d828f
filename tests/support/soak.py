"""Offers more work than the keys allow while workers die and freeze, then checks Poe's record.

Used by a short test and by `bench/soak.py`, which runs the same for minutes.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support.deployment import Child, Deployment, Gateway, eventually, free_port, spawn

WARM_UP = 3.0
"""Seconds after the first answer before shares are counted."""


@dataclass(frozen=True)
class Plan:
    """A scenario, in seconds and counts."""

    seconds: float = 30.0
    workers: int = 4
    accounts: int = 7
    keys_per_account: int = 1
    rate_limit: int = 60
    cool_down: float = 1.0
    max_in_flight: int = 2
    answer: str = "count to 10 every 50ms"
    answer_seconds: float = 0.5
    overload: float = 3.0
    weights: Mapping[str, float] = field(default_factory=lambda: {"a": 1.0, "b": 1.0, "c": 1.0})
    kill_every: float | None = None
    freeze_every: float | None = None
    freeze_for: float = 8.0
    restart_redis_after: float | None = None
    """When to kill Redis and start it again with its AOF."""
    tolerance: float = 0.05
    """Seconds by which a call may seem early to a Poe that shares two cores with everything."""
    seed: int = 1

    @property
    def starts_per_second(self) -> float:
        """The call rate that the limits of all accounts allow."""
        by_rate = min(self.rate_limit / 60, 1 / self.cool_down)
        return self.accounts * min(by_rate, self.max_in_flight / self.answer_seconds)


@dataclass(frozen=True)
class Outcome:
    """The result of a run."""

    violations: list[dict[str, Any]]
    utilisation: float
    """Calls made, relative to those allowed between the first and the last call."""
    shares: dict[str, int]
    """Answers by client, among those given while all of them were waiting."""
    jain: float
    """Jain's index of the shares relative to the weights: 1 is perfectly fair."""
    statuses: Counter[int]
    starts: int
    kills: int
    freezes: int


async def soak(deployment: Deployment, plan: Plan) -> Outcome:
    """Run a plan."""
    poe, poe_url = await _start_poe(deployment, plan)
    workers = [await _start_worker(deployment, plan, poe_url) for _ in range(plan.workers)]
    gateway = await deployment.start_gateway(config=_gateway_config(plan))
    await eventually(lambda: _owned(gateway, plan.accounts * plan.keys_per_account), "the leases")

    troubles = _Troubles(deployment, plan, poe_url, workers)
    trouble = asyncio.create_task(troubles.cause())
    answers = await _ask(gateway, plan)
    trouble.cancel()
    await asyncio.gather(trouble, return_exceptions=True)
    async with aiohttp.ClientSession() as http, http.get(f"{poe_url}/_simulated/record") as reply:
        record = await reply.json()
    await poe.stop()
    return _judge(plan, record, answers, troubles)


async def _start_poe(deployment: Deployment, plan: Plan) -> tuple[Child, str]:
    keys = {key: key.rpartition("-")[0] for key in _keys(plan)}
    settings = deployment.directory / "poe.json"
    limits = {
        "keys": keys,
        "enforce": True,
        "rate_limit": plan.rate_limit,
        "cool_down": plan.cool_down,
        "max_in_flight": plan.max_in_flight,
        "tolerance": plan.tolerance,
    }
    settings.write_text(json.dumps(limits))
    port = free_port()
    argv = (sys.executable, "-m", "simulated_poe", "--port", str(port), "--config", str(settings))
    child = await spawn(deployment.directory / "poe.log", *argv)
    deployment.children.append(child)
    # If Poe waits for the CPU, it records a start late, and the next one seems early.
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, child.pid, -15)
    await eventually(lambda: "simulated poe on" in child.output(), "the simulated Poe")
    return child, f"http://127.0.0.1:{port}"


async def _start_worker(deployment: Deployment, plan: Plan, poe_url: str) -> Child:
    tokens = ", ".join(
        f'{{ token = "{key}", account = "{key.rpartition("-")[0]}" }}' for key in _keys(plan)
    )
    config = (
        f"tokens = [{tokens}]\nrateLimit = {plan.rate_limit}\ncoolDown = {plan.cool_down}\n"
        f"maxInFlight = {plan.max_in_flight}\n"
    )
    return await deployment.start_worker(config=config, tokens="", poe_url=poe_url)


def _gateway_config(plan: Plan) -> str:
    tokens = ", ".join(
        f'{{ key = "sk-{name}", name = "{name}", weight = {weight} }}'
        for name, weight in plan.weights.items()
    )
    return f"accessTokens = [{tokens}]\nmaxQueued = 100000\nmaxQueuedTotal = 100000\n"


def _keys(plan: Plan) -> list[str]:
    return [f"sim-{n}-{k}" for n in range(plan.accounts) for k in range(plan.keys_per_account)]


async def _owned(gateway: Gateway, tokens: int) -> bool:
    async with gateway.http(None) as http:
        lines = (await http.get("/metrics")).text.splitlines()
    counts = [float(x.split()[-1]) for x in lines if x.startswith("poe2gpt_tokens{")]
    return sum(counts) == tokens


@dataclass(frozen=True)
class _Answer:
    client: str
    status: int
    ended: float


async def _ask(gateway: Gateway, plan: Plan) -> list[_Answer]:
    """Keep each client's share of `overload` times the capacity waiting, for `seconds`."""
    each = int(plan.overload * plan.starts_per_second * 8 / len(plan.weights)) + 4
    until = time.monotonic() + plan.seconds
    answers: list[_Answer] = []
    body = {"model": "Count", "messages": [{"role": "user", "content": plan.answer}]}

    async def client(http: aiohttp.ClientSession, name: str) -> None:
        headers = {"authorization": f"Bearer sk-{name}"}
        while time.monotonic() < until:
            async with http.post(
                f"{gateway.url}/v1/chat/completions", json=body, headers=headers
            ) as reply:
                await reply.read()
                answers.append(_Answer(name, reply.status, time.monotonic()))

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as http:
        asking = [
            asyncio.create_task(client(http, name)) for name in plan.weights for _ in range(each)
        ]
        await asyncio.sleep(plan.seconds)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    return answers


class _Troubles:
    """Kills and freezes workers, and replaces those it killed."""

    def __init__(
        self, deployment: Deployment, plan: Plan, poe_url: str, workers: list[Child]
    ) -> None:
        self._deployment = deployment
        self._plan = plan
        self._poe_url = poe_url
        self._workers = workers
        self._random = random.Random(plan.seed)
        self.kills = 0
        self.freezes = 0

    async def cause(self) -> None:
        async with asyncio.TaskGroup() as group:
            if self._plan.kill_every:
                group.create_task(self._kill(self._plan.kill_every))
            if self._plan.freeze_every:
                group.create_task(self._freeze(self._plan.freeze_every))
            if self._plan.restart_redis_after:
                group.create_task(self._restart_redis(self._plan.restart_redis_after))

    async def _kill(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            victim = self._random.choice(self._workers)
            self._workers.remove(victim)
            victim.send(signal.SIGKILL)
            self.kills += 1
            self._workers.append(await _start_worker(self._deployment, self._plan, self._poe_url))

    async def _restart_redis(self, after: float) -> None:
        await asyncio.sleep(after)
        redis = self._deployment.redis
        assert redis.child is not None
        await redis.child.stop(signal.SIGKILL)
        await redis.start()

    async def _freeze(self, every: float) -> None:
        while True:
            await asyncio.sleep(every)
            victim = self._random.choice(self._workers)
            victim.send(signal.SIGSTOP)
            self.freezes += 1
            await asyncio.sleep(self._plan.freeze_for)
            if victim.process.returncode is None:
                victim.send(signal.SIGCONT)


def _judge(
    plan: Plan, record: dict[str, Any], answers: list[_Answer], troubles: _Troubles
) -> Outcome:
    started = sorted(call["started"] for call in record["calls"])
    seconds = started[-1] - started[0]
    allowed = plan.accounts * (1 + seconds * plan.starts_per_second / plan.accounts)
    # The first answers go to whoever asked first.
    fair_from = min(answer.ended for answer in answers) + WARM_UP
    shares = Counter(a.client for a in answers if a.status == 200 and a.ended > fair_from)
    fair = [shares[name] / weight for name, weight in plan.weights.items()]
    squares = sum(x * x for x in fair) * len(fair)
    return Outcome(
        violations=record["violations"],
        utilisation=len(started) / allowed,
        shares=dict(shares),
        jain=sum(fair) ** 2 / squares if squares else 0.0,
        statuses=Counter(answer.status for answer in answers),
        starts=len(started),
        kills=troubles.kills,
        freezes=troubles.freezes,
    )
