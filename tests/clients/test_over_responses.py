"""What comes over Poe's Responses API, by OpenAI's own Python client in both of its dialects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from pydantic import BaseModel

from tests.clients.service import Service
from tests.support.responses_wire import check, events_of


class Place(BaseModel):
    city: str
    population: int


PLACE = {"city": "text", "population": 0}
LOOK: Any = {
    "type": "function",
    "name": "look",
    "description": "Looks at a place.",
    "parameters": {
        "type": "object",
        "properties": {"at": {"type": "string"}},
        "required": ["at"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=service.base_url,
        api_key=service.key,
        max_retries=0,
        _strict_response_validation=True,
    ) as openai:
        yield openai


def calls_since(service: Service, before: int) -> list[str]:
    """Over which interface each call has come since there were so many."""
    return [call.kind for call in list(service.record.calls)[before:]]


def test_a_chat_with_a_form_is_streamed_in_pieces_by_one_call(
    service: Service, client: OpenAI
) -> None:
    before = len(service.record.calls)
    asked: Any = {"messages": [{"role": "user", "content": "Where, every 50ms?"}]}

    with client.chat.completions.stream(
        model="GPT-5.4-Mini", response_format=Place, **asked
    ) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
        message = stream.get_final_completion().choices[0].message

    assert len(pieces) > 1
    assert json.loads("".join(pieces)) == PLACE
    assert message.parsed == Place(**PLACE)
    assert message.refusal is None
    assert calls_since(service, before) == ["responses"]


def test_a_chat_with_a_form_is_parsed_and_its_usage_has_details(
    service: Service, client: OpenAI
) -> None:
    before = len(service.record.calls)

    answer = client.chat.completions.parse(
        model="GPT-5.4-Mini",
        messages=[{"role": "user", "content": "Where?"}],
        response_format=Place,
    )

    assert answer.choices[0].message.parsed == Place(**PLACE)
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.prompt_tokens_details is not None
    assert calls_since(service, before) == ["responses"]


def test_a_response_has_a_summary_of_the_thoughts(service: Service) -> None:
    before = len(service.record.calls)
    reasoning = {"effort": "high", "summary": "auto"}
    asked = {
        "model": "GPT-5.4",
        "input": "Why?",
        "instructions": "Be kind.",
        "reasoning": reasoning,
    }

    with service.http() as http:
        answer = http.post("/v1/responses", json=asked | {"stream": True})

    response = check(events_of(answer.text))
    thoughts, said = response["output"]
    assert thoughts["summary"][0]["text"] == "The question is:\n\nWhy?"
    assert said["content"][0]["text"] == "The answer to: Why?"
    assert response["usage"]["output_tokens_details"]["reasoning_tokens"] > 0
    assert calls_since(service, before) == ["responses"]
    assert service.asked["input"][0] == {
        "type": "message",
        "role": "system",
        "content": "Be kind.",
    }


def test_a_response_has_a_form_and_is_parsed(service: Service, client: OpenAI) -> None:
    before = len(service.record.calls)

    with client.responses.stream(
        model="GPT-5.4-Mini", input="Where, every 50ms?", text_format=Place
    ) as stream:
        deltas = [event for event in stream if event.type == "response.output_text.delta"]
        response = stream.get_final_response()

    assert len(deltas) > 1
    assert response.output_parsed == Place(**PLACE)
    assert calls_since(service, before) == ["responses"]


def test_rounds_of_strict_tools_end_in_an_answer(service: Service, client: OpenAI) -> None:
    before = len(service.record.calls)
    items: list[Any] = [{"role": "user", "content": 'call look {"at": "Paris"}'}]

    first = client.responses.create(model="GPT-5.4-Mini", input=items, tools=[LOOK])
    (call,) = (item for item in first.output if item.type == "function_call")
    items += [item.model_dump(exclude_none=True) for item in first.output]
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "It rains."})
    second = client.responses.create(model="GPT-5.4-Mini", input=items, tools=[LOOK])

    assert json.loads(call.arguments) == {"at": "Paris"}
    assert second.output_text == "look says: It rains."
    assert calls_since(service, before) == ["responses", "responses"]
    assert service.asked["tools"][0]["strict"] is True
