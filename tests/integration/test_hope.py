"""Whether anyone can be answered is decided over all configured keys, whoever owns them."""

from __future__ import annotations

import asyncio
import signal

import httpx
import pytest

from tests.support.deployment import Child, Deployment, Gateway, eventually

CONFIG = "coolDown = 0\nleaseLife = 2.0\n"
TOKENS = "sim-broke,sim-good"


async def _worker(deployment: Deployment) -> Child:
    return await deployment.start_worker(config=CONFIG, tokens=TOKENS)


async def _ask(http: httpx.AsyncClient, text: str = "hello") -> int:
    body = {"model": "Echo", "messages": [{"role": "user", "content": text}]}
    return (await http.post("/v1/chat/completions", json=body)).status_code


async def _until_parked(gateway: Gateway) -> None:
    """Ask until a gateway has seen that the empty key is set aside."""

    async def parked() -> bool:
        async with gateway.http() as http:
            assert await _ask(http) == 200
            page = (await http.get("/metrics")).text
        return any('state="parked"' in line and line.endswith(" 1.0") for line in page.splitlines())

    await eventually(parked, "the parking")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("change", ["crash", "restart", "scale-up"])
async def test_nobody_is_refused_for_an_empty_key_while_the_good_one_changes_hands(
    deployment: Deployment, change: str
) -> None:
    # Given an empty key that is set aside, and a good one
    await deployment.start_poe()
    first = await _worker(deployment)
    gateway = await deployment.start_gateway()
    await _until_parked(gateway)

    # When workers come and go while requests wait
    async with gateway.http() as http:
        if change != "scale-up":
            await first.stop(signal.SIGKILL if change == "crash" else signal.SIGTERM)
        asked = [asyncio.create_task(_ask(http, f"{n}")) for n in range(10)]
        await _worker(deployment)
        await _worker(deployment)
        statuses = [await each for each in asked]
        for n in range(10):
            statuses.append(await _ask(http, f"later {n}"))

    # Then all are answered
    assert set(statuses) == {200}
