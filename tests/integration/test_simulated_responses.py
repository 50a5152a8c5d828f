"""The simulated Poe's Responses API, as OpenAI's own client understands it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio

from simulated_poe import Settings, SimulatedPoe

LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": []}
CLOSED = OPEN | {"required": ["a"], "additionalProperties": False}


def form(schema: dict[str, Any], *, strict: bool = True) -> Any:
    return {"format": {"type": "json_schema", "name": "x", "schema": schema, "strict": strict}}


@pytest_asyncio.fixture
async def client() -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        SimulatedPoe() as poe,
        openai.AsyncOpenAI(base_url=f"{poe.url}/v1", api_key="sim-a", max_retries=0) as found,
    ):
        yield found


async def test_a_stream_has_openais_events_in_their_order(client: openai.AsyncOpenAI) -> None:
    stream = await client.responses.create(
        model="GPT-5.4", input="Why?", reasoning={"summary": "auto"}, stream=True
    )
    events = [event async for event in stream]

    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    response = events[-1].response  # type: ignore[union-attr]
    assert response.output_text == "The answer to: Why?"
    assert [item.type for item in response.output] == ["reasoning", "message"]


async def test_a_whole_response_says_the_same(client: openai.AsyncOpenAI) -> None:
    response = await client.responses.create(
        model="GPT-4o", input="Hello", instructions="Shout.", text=form(CLOSED)
    )

    assert (response.status, json.loads(response.output_text)) == ("completed", {"a": "text"})
    assert response.usage is not None


async def test_tools_are_called_and_their_results_read(client: openai.AsyncOpenAI) -> None:
    asked: list[Any] = [{"role": "user", "content": 'call look {"at": "x"}'}]

    first = await client.responses.create(model="GPT-4o", input=asked, tools=[LOOK])
    (call,) = first.output
    assert call.type == "function_call"
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "rain"}
    asked += [call.model_dump(exclude_none=True), result]
    second = await client.responses.create(model="GPT-4o", input=asked, tools=[LOOK])

    assert second.output_text == "look says: rain"


async def test_a_limit_makes_a_response_incomplete(client: openai.AsyncOpenAI) -> None:
    response = await client.responses.create(model="Long", input="50 words", max_output_tokens=16)

    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"extra_body": {"stop": ["x"]}}, "Unknown parameter: 'stop'"),
        ({"previous_response_id": "resp_1"}, "Zero Data Retention"),
        ({"max_output_tokens": 1}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"text": form(OPEN)}, "additionalProperties"),
        ({"text": {"format": {"type": "json_object"}}}, "the word 'json'"),
        ({"tools": [{"type": "computer"}]}, "computer"),
        ({"tools": [{"type": "function", "name": "x"}]}, "parameters"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]}, "c"),
        ({"input": [{"role": "assistant", "content": [{"type": "input_text"}]}]}, "input_text"),
        ({"input": []}, "input"),
    ],
)
async def test_what_openai_refuses_is_refused(
    client: openai.AsyncOpenAI, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(**{"model": "GPT-4o", "input": "Hi"} | fields)

    assert reason in str(refused.value)


async def test_a_failure_behind_text_is_a_failed_response() -> None:
    async with (
        SimulatedPoe(Settings(comments=True)) as poe,
        openai.AsyncOpenAI(base_url=f"{poe.url}/v1", api_key="sim-a", max_retries=0) as client,
    ):
        stream = await client.responses.create(model="Fail-late", input="x", stream=True)
        *_, last = [event async for event in stream]

    assert last.type == "response.failed"
    assert last.response.error is not None
