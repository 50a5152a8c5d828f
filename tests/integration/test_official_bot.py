"""The whole path, with bots that Poe's own server library serves at its end."""

from __future__ import annotations

import sys

import pytest
from openai import APIError, AsyncOpenAI

from tests.support.deployment import KEY, Deployment, Gateway, eventually, free_port, spawn


@pytest.fixture
async def gateway(deployment: Deployment) -> Gateway:
    port = free_port()
    argv = (sys.executable, "-m", "tests.support.fastapi_poe_bot", "--port", str(port))
    bots = await spawn(deployment.directory / "bots.log", *argv)
    deployment.children.append(bots)
    await eventually(lambda: "fastapi_poe bots on" in bots.output(), "the official bots")
    await deployment.start_worker("--cool-down", "0", poe_url=f"http://127.0.0.1:{port}")
    return await deployment.start_gateway()


async def _stream(client: AsyncOpenAI, model: str, text: str) -> str:
    said = ""
    async for chunk in await client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": text}], stream=True
    ):
        said += chunk.choices[0].delta.content or ""
    return said


async def test_official_bots_are_understood_to_the_letter(gateway: Gateway) -> None:
    async with AsyncOpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        streamed = await _stream(client, "Echo", "eins zwei drei")
        odd = await _stream(client, "Oddities", "hello")
        whole = await client.chat.completions.create(
            model="Oddities", messages=[{"role": "user", "content": "hello"}]
        )

    assert streamed == "eins zwei drei"
    assert odd == "You said: hello"
    assert whole.choices[0].message.content == "You said: hello"


async def test_an_official_bots_late_error_ends_the_stream_as_an_error(gateway: Gateway) -> None:
    async with AsyncOpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        with pytest.raises(APIError) as failure:
            await _stream(client, "Oddities", "fail")

    assert failure.value.code == "insufficient_quota"
