"""What is learned of a token is known to every worker, and to the operator."""

from __future__ import annotations

import asyncio
import os
import sys

from openai import AsyncOpenAI
from redis.asyncio import Redis

from tests.support.deployment import KEY, Deployment, eventually, spawn
from tests.support.keys import keys


async def test_check_tells_what_the_workers_hold_against_a_token(
    deployment: Deployment, redis: Redis
) -> None:
    await deployment.start_poe()
    await deployment.start_worker("--cool-down", "0", tokens="sim-limited-a,sim-good")
    gateway = await deployment.start_gateway()
    async with AsyncOpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        await asyncio.gather(
            *(
                client.chat.completions.create(
                    model="Echo", messages=[{"role": "user", "content": "hello"}]
                )
                for _ in range(4)
            )
        )

    # Poe's two seconds may be over before the check has begun; let it have said a minute.
    rests = await eventually(lambda: _rests(redis), "the rest")
    await redis.hincrby(rests, "rests", 60_000)

    check = await spawn(
        deployment.directory / "check.log",
        *(sys.executable, "-m", "poe2gpt", "check", "--config", os.devnull),
        *("--redis-url", deployment.redis.url, "--poe-url", deployment.poe_url),
        env={"POE_TOKENS": "sim-limited-a,sim-good", "ACCESS_TOKENS": KEY},
    )
    status = await check.process.wait()

    assert status == 1
    assert "rate limited" in check.output()
    assert "ok" in check.output()
    assert "sim-" not in check.output()


async def _rests(redis: Redis) -> bytes | None:
    """Where it stands that an account rests."""
    found = [
        key async for key in redis.scan_iter(keys.token("*")) if await redis.hexists(key, "rests")
    ]
    return found[0] if found else None
