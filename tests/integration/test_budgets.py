"""Budgets of keys and groups in a whole deployment, whose processes are killed."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter as Counts
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import httpx
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from contract.calls.budgets import Counter, ReadCounters
from contract.calls.call import Call
from contract.calls.ledger import ReadLedger
from contract.config import Given
from contract.ledger import Request
from gateway.queue.beliefs import BELIEVED_FOR
from simulated_poe import Model
from store.groups import Groups
from store.link import Link
from tests.support.clients import CHAT
from tests.support.deployment import Child, Deployment, Gateway, eventually, running_redis
from tests.support.keys import keys

pytestmark = pytest.mark.asyncio(loop_scope="module")

R = TypeVar("R")

ASKED = 150
LIMIT = 5_000
KEY, OTHER, THIRD = (f"sk-test-canary-budget-key-{number}" for number in (1, 2, 3))
GATEWAY = f"""
statusHold = 0
[[accessTokens]]
key = "{KEY}"
name = "ann"
group = "lab"
totalBudget = {LIMIT}
timeZone = "Europe/Berlin"
[[accessTokens]]
key = "{OTHER}"
name = "bob"
group = "lab"
[[accessTokens]]
key = "{THIRD}"
name = "cat"
totalBudget = 300
"""
WORKER = "coolDown = 0\nrateLimit = 1000\nmaxInFlight = 12\nleaseLife = 1\n"
MODEL = Model(
    *("Dear", "count"),
    endpoints=("/v1/chat/completions",),
    price="0.0001",
    completion_price="0.0005",
)
FLAT = Model("Flat", "emulate", endpoints=("/v1/chat/completions",), request_price="0.003")
"""A call costs 99 points."""
BODY = {
    "model": "Dear",
    "max_tokens": 30,
    "messages": [{"role": "user", "content": "5 every 20ms"}],
}


@dataclass
class Place:
    """What runs while the tests of this module do."""

    deployment: Deployment
    redis: Any
    link: Link
    gateways: list[Gateway]
    workers: list[Child]

    async def run(self, call: Call[R]) -> R:
        return await self.link.run(call, "0")

    async def requests(self, name: str) -> list[Request]:
        """Return what the ledger has of a client."""
        records = [record for _, record in await self.run(ReadLedger())]
        requests = [record for record in records if isinstance(record, Request)]
        return [request for request in requests if request.name == name]

    async def total(self, client: str) -> Counter:
        (counter,) = await self.run(ReadCounters([f"key:{client}:total"]))
        return counter

    async def jobs(self, client: str) -> dict[str, bool]:
        """Return all jobs of a client, and whether they have ended."""
        names = [name.decode() async for name in self.redis.scan_iter(keys.job("*"))]
        found = {name: await self.redis.hmget(name, ["client", "state"]) for name in names}
        mine = {name: state for name, (owner, state) in found.items() if owner == client.encode()}
        return {name: state == b"done" for name, state in mine.items()}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    async with running_redis() as server:
        redis, link = Redis.from_url(server.url, protocol=2), Link(server.url, timeout=5.0)
        deployment = Deployment(tmp_path_factory.mktemp("budgets"), server)
        try:
            poe = await deployment.start_poe()
            poe.catalogue.add(MODEL)
            poe.catalogue.add(FLAT)
            start = partial(deployment.start_worker, config=WORKER)
            workers = [await start(tokens=f"sim-{n}") for n in range(4)]
            gateway = partial(deployment.start_gateway, config=GATEWAY)
            gateways = list(await asyncio.gather(gateway(), gateway()))
            for each in gateways:
                await eventually(partial(knows_prices, each), "the catalogue")
            yield Place(deployment, redis, link, gateways, workers)
        finally:
            await deployment.close()
            await link.aclose()
            await redis.aclose()


async def knows_prices(gateway: Gateway) -> bool:
    async with gateway.http(KEY) as http:
        return '"dear"' in (await http.get("/v1/models")).text


async def bury(redis: Any) -> None:
    """Have the gateway that beats no longer count as dead, which would take 15 s."""

    async def beats() -> dict[bytes, float]:
        return dict(await redis.zrange(keys.gateways, 0, -1, withscores=True))

    before = await beats()

    async def silent() -> list[bytes]:
        now = await beats()
        return [name for name in now if now[name] == before[name]] if now != before else []

    (dead,) = await eventually(silent, "the other gateway's heartbeat")
    await redis.zadd(keys.gateways, {dead: 0})


async def ask(gateway: Gateway, key: str = KEY) -> httpx.Response:
    """Return the answer; 599 where the gateway has died."""
    async with gateway.http(key) as http:
        try:
            return await http.post(CHAT, json=BODY)
        except httpx.TransportError:
            return httpx.Response(599)


async def test_a_group_has_a_budget_of_its_own_within_a_second(
    place: Place,
) -> None:
    # given
    gateway, groups = place.gateways[0], Groups(place.run)
    free = await ask(gateway, OTHER)
    terms = Given({"dayBudget": 600, "timeZone": "Asia/Tokyo"}, {})

    # when
    await groups.change("lab", terms)
    await asyncio.sleep(BELIEVED_FOR)
    within = await ask(gateway, OTHER)
    beyond = await ask(gateway, OTHER)
    shared = await ask(gateway, KEY)
    async with gateway.http(OTHER) as http:
        claude = await http.post("/v1/messages", json=BODY)
        response = await http.post(
            "/v1/responses", json={"model": "Dear", "input": "hi", "max_output_tokens": 30}
        )

    # then
    assert [reply.status_code for reply in (free, within, beyond, shared)] == [200, 200, 402, 402]
    assert "x-points-limit" not in free.headers
    estimate = int(free.headers["x-points-estimate"])
    assert 495 < estimate < 600
    assert within.headers["x-points-limit"] == within.headers["x-points-remaining"] == "600"
    assert within.headers["x-points-renews"].endswith("T15:00:00+00:00")
    error = beyond.json()["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")
    assert f"may cost {estimate} points" in error["message"]
    assert "the daily budget of the group 'lab' (600 points), which renews at " in error["message"]
    assert "T00:00:00+09:00" in error["message"]
    assert "retry-after" not in beyond.headers
    assert int(beyond.headers["x-points-remaining"]) < estimate
    assert (claude.status_code, claude.json()["error"]["type"]) == (402, "billing_error")
    assert "the daily budget of the group 'lab'" in claude.json()["error"]["message"]
    assert "x-points-renews" in claude.headers["access-control-expose-headers"]
    assert response.status_code == 402
    assert response.json()["error"]["code"] == "insufficient_quota"

    # when
    await groups.remove("lab")
    await asyncio.sleep(BELIEVED_FOR)

    # then
    again = await ask(gateway, OTHER)
    assert again.status_code == 200


async def test_a_correction_is_paid_for_only_where_the_budget_has_points_for_it(
    place: Place,
) -> None:
    # given a budget for three calls, and a model whose first answer is not the JSON that is wanted
    body = {
        "model": "Flat",
        "response_format": {"type": "json_object"},
        "messages": [{"role": "user", "content": '["no JSON", "{}"]'}],
    }

    # when two requests need two calls each
    async with place.gateways[0].http(THIRD) as http:
        asked = [http.post(CHAT, json=body) for _ in range(2)]
        replies = await asyncio.gather(*asked)

    # then
    assert sorted(reply.status_code for reply in replies) == [200, 402]
    (error,) = (reply.json()["error"] for reply in replies if reply.status_code == 402)
    assert "has to be asked once more, which may cost 99 points, and 3 are left" in error["message"]
    requests = await place.requests("cat")
    assert sorted(request.settled for request in requests) == [99, 198]
    counter = await place.total(requests[0].client)
    assert (counter.spent, counter.reserved) == (297, 0)


async def test_kills_cost_a_budget_no_more_than_one_error_and_block_nothing(place: Place) -> None:
    # given 150 requests at once, of which a budget has room for a third
    gateways, workers = place.gateways, place.workers
    asked = [asyncio.create_task(ask(gateways[n % 2])) for n in range(ASKED)]

    def done() -> int:
        return sum(task.done() for task in asked)

    # when two workers and a gateway are killed while answers run
    await eventually(lambda: done() >= 5, "the first answers")
    await asyncio.gather(*(worker.stop(signal.SIGKILL) for worker in workers[:2]))
    await place.deployment.start_worker(config=WORKER, tokens="sim-0,sim-1")
    await eventually(lambda: done() >= 15, "more answers")
    await gateways[1].child.stop(signal.SIGKILL)
    await bury(place.redis)
    statuses = Counts(reply.status_code for reply in await asyncio.gather(*asked))
    requests = await place.requests("ann")
    client, estimate = requests[0].client, requests[0].estimated

    async def all_have_ended() -> bool:
        return all((await place.jobs(client)).values())

    await eventually(all_have_ended, "the end of all jobs")

    # then what is not served is refused, and each job is written down once
    assert set(statuses) <= {200, 402, 502, 599}
    assert statuses[200] >= 1
    assert statuses[402] >= 1
    requests = await place.requests("ann")
    assert sorted(keys.job(request.job) for request in requests) == sorted(await place.jobs(client))

    # and no more is spent than one request may have been misjudged by, and nothing is reserved
    counter = await place.total(client)
    assert counter.spent == sum(request.settled for request in requests)
    error = max(request.settled - request.estimated for request in requests)
    assert counter.spent <= LIMIT + max(error, 0)
    assert counter.reserved == 0

    # and what is left can be spent to the last request that fits
    fits = counter.spent + estimate <= LIMIT
    assert (await ask(gateways[0])).status_code == (200 if fits else 402)
    spent = (await place.total(client)).spent
    assert spent + estimate > LIMIT or (await ask(gateways[0])).status_code == 200
