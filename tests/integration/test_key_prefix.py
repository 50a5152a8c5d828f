"""Two deployments on one Redis, told apart by `keyPrefix` alone."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from contract.config import fingerprint
from contract.keys import Keys
from tests.support.deployment import KEY, Deployment, Gateway, eventually, spawn

BLUE = 'keyPrefix = "blue:"\n'
GREEN = ""


def _asking(text: str) -> dict[str, Any]:
    return {"model": "Echo", "messages": [{"role": "user", "content": text}]}


async def test_two_deployments_on_one_redis_share_nothing(
    deployment: Deployment, redis: Redis
) -> None:
    poe = await deployment.start_poe()
    gateways: list[Gateway] = []
    for config, token in ((BLUE, "sim-blue"), (GREEN, "sim-green")):
        await deployment.start_worker(config=config, tokens=token)
        gateways.append(await deployment.start_gateway(config=config))

    # The same client, with the same idempotency key, at both.
    async def answers(gateway: Gateway) -> list[str]:
        async with gateway.http() as http:
            http.headers["idempotency-key"] = "one"
            asked = [await http.post("/v1/chat/completions", json=_asking("hi")) for _ in range(3)]
        return [each.json()["id"] for each in asked]

    blue, green = await asyncio.gather(*map(answers, gateways))
    names = [key.decode() async for key in redis.scan_iter()]
    channels = [name.decode() for name in await redis.pubsub_channels()]

    assert len(set(blue)) == len(set(green)) == 1
    assert blue[0] != green[0]
    assert sorted(call.key for call in poe.record.calls) == ["sim-blue", "sim-green"]
    for found in (names, channels):
        assert {name.partition(":")[0] for name in found} == {"blue", "p2g"}


async def test_a_check_looks_under_the_prefix(
    deployment: Deployment, redis: Redis, tmp_path: Path
) -> None:
    await deployment.start_poe()
    parked = Keys("blue:").token(fingerprint("sim-a", b"p2g-token"))
    await redis.hset(parked, mapping={"until": 10**15, "reason": "no points"})  # type: ignore[misc]

    async def output(config: str) -> str:
        file = tmp_path / "check.toml"
        file.write_text(config)
        child = await spawn(
            tmp_path / f"check of {config[:9]}.log",
            *(sys.executable, "-m", "poe2gpt", "check", "--config", str(file)),
            *("--redis-url", deployment.redis.url, "--poe-url", deployment.poe_url),
            env={"POE_TOKENS": "sim-a", "ACCESS_TOKENS": KEY},
        )
        await eventually(lambda: child.process.returncode is not None, "the end of the check")
        return child.output()

    assert "no points" in await output(BLUE)
    assert "no points" not in await output(GREEN)
