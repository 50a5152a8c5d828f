"""The whole path, with bots that Poe's own server library serves at its end."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from openai import APIError, AsyncOpenAI

from tests.support.deployment import (
    KEY,
    Deployment,
    Gateway,
    eventually,
    free_port,
    running_redis,
    spawn,
)
from tests.support.upload_desk import UploadDesk

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with running_redis() as server, UploadDesk() as desk:
        deployment = Deployment(tmp_path_factory.mktemp("official"), server)
        try:
            yield await _start(deployment, desk)
        finally:
            await deployment.close()


async def _start(deployment: Deployment, desk: UploadDesk) -> Gateway:
    port = free_port()
    argv = (sys.executable, "-m", "tests.support.fastapi_poe_bot", "--port", str(port))
    bots = await spawn(deployment.directory / "bots.log", *argv)
    deployment.children.append(bots)
    await eventually(lambda: "fastapi_poe bots on" in bots.output(), "the official bots")
    await deployment.start_worker(
        *("--cool-down", "0"),
        config=f'uploadUrl = "{desk.url}"',
        poe_url=f"http://127.0.0.1:{port}",
    )
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


WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}


async def test_official_bots_read_our_attachments(gateway: Gateway) -> None:
    content: list[Any] = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,aGk="}},
    ]
    async with AsyncOpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        answer = await client.chat.completions.create(
            model="Reader",
            messages=[{"role": "user", "content": content}],
            extra_body={"aspect": "3:2", "skip_system_prompt": True},
        )

    read = json.loads(answer.choices[0].message.content or "")
    (message,) = read["query"]
    assert message["content"] == "What is it?"
    assert [(each["name"], each["url"]) for each in message["attachments"]] == [
        ("image.png", "https://pfst.cf2.poecdn.net/base/1"),
        ("a.txt", "https://pfst.cf2.poecdn.net/base/2"),
    ]
    assert message["parameters"] == {"aspect": "3:2"}
    assert read["skip_system_prompt"] is True


async def test_official_bots_and_clients_agree_on_a_round_of_tools(gateway: Gateway) -> None:
    tools: list[Any] = [WEATHER, CLOCK]
    messages: list[Any] = [{"role": "user", "content": "What is the weather?"}]
    async with AsyncOpenAI(api_key=KEY, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        first = await client.chat.completions.create(model="Caller", messages=messages, tools=tools)
        said = first.choices[0].message
        calls = said.tool_calls or []
        messages += [said.model_dump(exclude_none=True)]
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": f"result of {call.id}"}
            for call in calls
        ]
        second = await client.chat.completions.create(
            model="Caller", messages=messages, tools=tools
        )

    assert first.choices[0].finish_reason == "tool_calls"
    assert said.content is None
    assert [call.model_dump() for call in calls] == [
        {
            "id": f"c{index}",
            "type": "function",
            "function": {"name": name, "arguments": '{"city":"Paris"}'},
        }
        for index, name in enumerate(["weather", "clock"])
    ]
    assert first.usage is not None
    assert (first.usage.prompt_tokens, first.usage.completion_tokens) == (7, 5)
    read = json.loads(second.choices[0].message.content or "")
    assert [message["content"] for message in read["query"]] == ["What is the weather?"]
    assert [tool["function"]["name"] for tool in read["tools"]] == ["weather", "clock"]
    assert [call["id"] for call in read["tool_calls"]] == ["c0", "c1"]
    assert read["tool_results"] == [
        {"role": "tool", "name": name, "tool_call_id": call, "content": f"result of {call}"}
        for call, name in [("c0", "weather"), ("c1", "clock")]
    ]
