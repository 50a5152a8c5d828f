"""What one access token may do is the same at every gateway."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from simulated_poe import SimulatedPoe
from tests.support.deployment import Deployment, Gateway, eventually, running_redis

Running = tuple[SimulatedPoe, list[Gateway]]

CONFIG = """
accessTokens = [
  { key = "sk-a", maxConcurrent = 3 }, "sk-b", { key = "sk-c", rateLimit = 4 }
]
"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with running_redis() as server:
        deployment = Deployment(tmp_path_factory.mktemp("limits"), server)
        try:
            poe = await deployment.start_poe()
            await deployment.start_worker("--cool-down", "0", tokens="sim-a,sim-b")
            yield poe, [await deployment.start_gateway(config=CONFIG) for _ in range(2)]
        finally:
            await deployment.close()


async def _ask(gateway: Gateway, key: str, text: str = "3") -> tuple[int, str]:
    body = {"model": "Count", "messages": [{"role": "user", "content": text}]}
    async with gateway.http(key) as http:
        answer = await http.post("/v1/chat/completions", json=body)
    return answer.status_code, answer.headers.get("retry-after", "")


async def test_requests_at_a_time_are_counted_over_all_gateways(running: Running) -> None:
    poe, gateways = running

    slow = "3 every 60s"
    asked = [asyncio.create_task(_ask(gateways[n % 2], "sk-a", slow)) for n in range(8)]
    await eventually(lambda: sum(task.done() for task in asked) == 5, "the refusals")
    others = await asyncio.gather(*(_ask(gateways[n % 2], "sk-b") for n in range(4)))
    poe.hurry.set()
    answers = await asyncio.gather(*asked)
    again = await _ask(gateways[0], "sk-a")

    assert Counter(status for status, _ in answers) == {200: 3, 429: 5}
    assert {after for status, after in answers if status == 429} == {"1"}
    assert {status for status, _ in others} == {200}
    assert again[0] == 200


async def test_requests_a_minute_are_counted_over_all_gateways(running: Running) -> None:
    _, gateways = running

    answers = await asyncio.gather(*(_ask(gateways[n % 2], "sk-c") for n in range(7)))

    assert Counter(status for status, _ in answers) == {200: 4, 429: 3}
    assert all(50 < int(after) <= 60 for status, after in answers if status == 429)
