"""Keys change at three gateways under load, and no stream is cut."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import httpx

from contract.config import Given
from gateway.queue.beliefs import BELIEVED_FOR
from store.link import Link
from store.stored_keys import StoredKeys
from tests.support.deployment import Deployment, Gateway, eventually
from tests.support.gateway_alone import CHAT, asking

GATEWAYS = 3
LOAD = 6
"""Clients that ask all the time."""

SETTLED = BELIEVED_FOR + 0.1
"""Seconds after a change until which each gateway is asked without a pause."""

ONE_SECOND = 1.0
"""Within which a change is promised to take effect."""

WORKER = "coolDown = 0\nrateLimit = 10000\nmaxInFlight = 50\n"


async def made(keys: StoredKeys, name: str) -> str:
    return (await keys.add(Given({"name": name}, {"name": "name"})))[1]


class Stream:
    """An answer that counts, and goes on for longer than the test."""

    def __init__(self) -> None:
        self.text = ""
        self.has_ended = False

    async def read(self, response: httpx.Response) -> None:
        async for line in response.aiter_lines():
            self.text += "".join(re.findall(r'"content":"([\d ]+)"', line))
        self.has_ended = True

    def goes_on(self) -> bool:
        """Return whether nothing was lost, and more will come."""
        whole = " ".join(map(str, range(1, 5000)))
        return whole.startswith(self.text) and not self.has_ended

    def is_longer_than(self, length: int) -> bool:
        return len(self.text) > length


@asynccontextmanager
async def streaming(gateway: Gateway, secret: str) -> AsyncIterator[Stream]:
    stream, body = Stream(), asking("5000 every 20ms", model="Count", stream=True)
    async with gateway.http(secret) as http, http.stream("POST", CHAT, json=body) as response:
        assert response.status_code == 200, await response.aread()
        reading = asyncio.create_task(stream.read(response))
        await eventually(lambda: stream.is_longer_than(0), "the answer")
        yield stream
        reading.cancel()


@asynccontextmanager
async def load(gateways: list[Gateway], secret: str) -> AsyncIterator[list[int]]:
    """Yield the statuses of those who ask all the time."""
    statuses: list[int] = []

    async def ask(gateway: Gateway) -> None:
        async with gateway.http(secret) as http:
            while True:
                answer = await http.post(CHAT, json=asking(model="Echo"))
                statuses.append(answer.status_code)
                await asyncio.sleep(0.02)

    asked = [asyncio.create_task(ask(gateways[n % len(gateways)])) for n in range(LOAD)]
    yield statuses
    for task in asked:
        task.cancel()
    faults = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(fault) for fault in faults} == {asyncio.CancelledError}


async def status_of(gateway: Gateway, secret: str) -> int:
    async with gateway.http(secret) as http:
        return (await http.get("/v1/models")).status_code


async def last_other(gateway: Gateway, secret: str, status: int) -> float:
    """Ask until a change has settled, and return when the last request was sent that got another
    status, in seconds after the change. A 503 lets nobody in and calls no key wrong."""
    changed, last = time.monotonic(), 0.0
    async with gateway.http(secret) as http:
        while True:
            sent = time.monotonic() - changed
            answer = (await http.get("/v1/models")).status_code
            if answer not in (status, 503):
                last = sent
            elif answer == status and sent > SETTLED:
                return last


async def test_a_change_takes_effect_at_three_gateways_under_load_and_cuts_no_stream(
    deployment: Deployment,
) -> None:
    await deployment.start_poe()
    await deployment.start_worker(config=WORKER, tokens=",".join(f"sim-{n}" for n in range(LOAD)))
    gateways = await asyncio.gather(
        *(deployment.start_gateway(config="requireKey = true") for _ in range(GATEWAYS))
    )
    link = Link(deployment.redis.url, timeout=5.0)
    keys = StoredKeys(partial(link.run, now="0"))
    secret, busy = await made(keys, "moved"), await made(keys, "busy")
    took: dict[str, list[float]] = {}

    async def seen(what: str, secret: str, status: int) -> None:
        took[what] = await asyncio.gather(*(last_other(each, secret, status) for each in gateways))

    async def believed(secret: str) -> None:
        await asyncio.gather(*(status_of(each, secret) for each in gateways))

    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(streaming(each, secret)) for each in gateways]
        statuses = await stack.enter_async_context(load(gateways, busy))
        await seen("made", secret, 200)

        await believed(secret)
        _, renewed = await keys.rotate("moved", 0)
        await asyncio.gather(seen("rotated", secret, 401), seen("renewed", renewed, 200))
        await believed(renewed)
        await keys.set_disabled("moved", True)
        await seen("disabled", renewed, 401)
        await believed(renewed)
        await keys.set_disabled("moved", False)
        await seen("enabled", renewed, 200)
        await believed(renewed)
        await keys.remove("moved")
        await seen("removed", renewed, 401)
        # All from one address, which has sent keys that are none any longer by the hundred.
        await seen("made again", await made(keys, "again"), 200)

        for stream in streams:
            await eventually(partial(stream.is_longer_than, len(stream.text)), "more of the answer")
        assert all(stream.goes_on() for stream in streams)
    await link.aclose()

    # No time limit: what a gateway has heard of Redis it believes for no longer, by any clock.
    assert max(map(max, took.values())) <= BELIEVED_FOR < ONE_SECOND
    assert took["made"] == took["renewed"] == took["made again"] == [0.0] * GATEWAYS
    assert {200} <= set(statuses) <= {200, 503}
