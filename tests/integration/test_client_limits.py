"""What one access token may do is the same at every gateway."""

from __future__ import annotations

import asyncio
from collections import Counter

from tests.support.deployment import Deployment, Gateway

BODY = {"model": "Count", "messages": [{"role": "user", "content": "count to 20 every 100ms"}]}


async def _two_gateways(deployment: Deployment, limits: str) -> list[Gateway]:
    await deployment.start_poe()
    await deployment.start_worker("--cool-down", "0", tokens="sim-a,sim-b")
    config = f'accessTokens = [{{ key = "sk-a", {limits} }}, "sk-b"]\n'
    return [await deployment.start_gateway(config=config) for _ in range(2)]


async def _ask(gateway: Gateway, key: str) -> tuple[int, str]:
    async with gateway.http(key) as http:
        answer = await http.post("/v1/chat/completions", json=BODY)
    return answer.status_code, answer.headers.get("retry-after", "")


async def test_requests_at_a_time_are_counted_over_all_gateways(deployment: Deployment) -> None:
    gateways = await _two_gateways(deployment, "maxConcurrent = 3")

    answers = await asyncio.gather(*(_ask(gateways[n % 2], "sk-a") for n in range(8)))
    others = await asyncio.gather(*(_ask(gateways[n % 2], "sk-b") for n in range(4)))
    again = await _ask(gateways[0], "sk-a")

    assert Counter(status for status, _ in answers) == {200: 3, 429: 5}
    assert {after for status, after in answers if status == 429} == {"1"}
    assert {status for status, _ in others} == {200}
    assert again[0] == 200


async def test_requests_a_minute_are_counted_over_all_gateways(deployment: Deployment) -> None:
    gateways = await _two_gateways(deployment, "rateLimit = 4")

    answers = await asyncio.gather(*(_ask(gateways[n % 2], "sk-a") for n in range(7)))

    assert Counter(status for status, _ in answers) == {200: 4, 429: 3}
    assert all(50 < int(after) <= 60 for status, after in answers if status == 429)
