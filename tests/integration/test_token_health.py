"""What is learned of a token is known to every worker, and to the operator."""

from __future__ import annotations

import asyncio
import os
import sys

from openai import AsyncOpenAI

from tests.support.deployment import KEY, Deployment, spawn


async def test_check_tells_what_the_workers_hold_against_a_token(deployment: Deployment) -> None:
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
