"""From a client's request to its answer, through every process."""

from __future__ import annotations

import asyncio

from openai import AsyncOpenAI

from tests.support.deployment import KEY, Deployment


async def test_a_streamed_answer_reaches_openais_own_client(deployment: Deployment) -> None:
    await deployment.start_poe()
    await deployment.start_worker("--cool-down", "0")
    gateway = await deployment.start_gateway()

    async with AsyncOpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model="Count",
            messages=[{"role": "user", "content": "count to 20 every 5ms"}],
            stream=True,
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    assert text.split() == [str(n) for n in range(1, 21)]


async def test_four_workers_answer_each_of_many_requests_once(deployment: Deployment) -> None:
    poe = await deployment.start_poe()
    tokens = ",".join(f"sim-{n}" for n in range(7))
    for _ in range(4):
        await deployment.start_worker("--cool-down", "0", tokens=tokens)
    gateway = await deployment.start_gateway()

    async with AsyncOpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(
                    model="Echo", messages=[{"role": "user", "content": f"request {n}"}]
                )
                for n in range(60)
            )
        )

    assert [a.choices[0].message.content for a in answers] == [f"request {n}" for n in range(60)]
    assert len(poe.record.calls) == 60
