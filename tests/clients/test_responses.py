"""The Responses API by OpenAI's own Python client: streamed and not, with tools, and parsed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openai import APIError, BadRequestError, NotFoundError, OpenAI
from pydantic import BaseModel

from tests.clients.service import Service
from tests.support.openai_schema import ERROR, LIST_MODELS, assert_is
from tests.support.responses_schema import RESPONSE
from tests.support.responses_wire import check, events_of

WEATHER: Any = {
    "type": "function",
    "name": "Weather",
    "description": "Tells the weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    "strict": False,
}
NOTE: Any = {"type": "custom", "name": "note", "description": "Takes a note."}


class Step(BaseModel):
    explanation: str
    output: float


class Solution(BaseModel):
    steps: list[Step]
    answer: str
    certain: bool | None


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=service.base_url,
        api_key=service.key,
        max_retries=0,
        _strict_response_validation=True,
    ) as openai:
        yield openai


def test_a_response_comes_whole(client: OpenAI) -> None:
    response = client.responses.create(model="Echo", input="Grüße, 世界 🙂", metadata={"a": "b"})

    assert response.output_text == "Grüße, 世界 🙂"
    assert response.status == "completed"
    assert response.metadata == {"a": "b"}
    assert response.usage is not None
    assert response.usage.total_tokens > 0


def test_a_response_comes_as_a_stream(client: OpenAI) -> None:
    with client.responses.create(model="Count", input="count to 3", stream=True) as stream:
        events = list(stream)

    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(said) == events[-1].response.output_text == "1 2 3"


@pytest.mark.parametrize("path", ["/v1/responses", "/responses"])
def test_the_bytes_are_those_of_openais_schema(service: Service, path: str) -> None:
    asked = {"model": "Reason", "input": [{"role": "user", "content": "Why?"}]}
    with service.http() as http:
        stream = http.post(path, json=asked | {"stream": True})
        whole = http.post(path, json=asked)

    assert stream.headers["content-type"].startswith("text/event-stream")
    streamed = check(events_of(stream.text))
    assert_is(whole.json(), RESPONSE)
    assert [item["type"] for item in streamed["output"]] == ["reasoning", "message"]
    assert [item["type"] for item in whole.json()["output"]] == ["reasoning", "message"]


def test_the_instructions_reach_the_model(client: OpenAI, service: Service) -> None:
    client.responses.create(model="GPT-4o", input="hi", instructions="Be brief.")

    assert {"role": "system", "content": "Be brief."} in service.asked["messages"]


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called_and_their_results_used(client: OpenAI, stream: bool) -> None:
    question = 'call Weather {"city": "Paris"}\ncall Weather {"city": "Rome"}'
    conversation: list[Any] = [{"role": "user", "content": question}]
    asked: dict[str, Any] = {"model": "Tool", "tools": [WEATHER]}

    first = _response(client, stream, input=conversation, **asked)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments)["city"] for call in calls] == ["Paris", "Rome"]

    conversation += first.output
    conversation += [
        {"type": "function_call_output", "call_id": call.call_id, "output": f"sun {n}"}
        for n, call in enumerate(calls)
    ]
    second = _response(client, stream, input=conversation, **asked)

    assert second.output_text == "Weather says: sun 0\nWeather says: sun 1"


@pytest.mark.parametrize("stream", [False, True])
def test_a_custom_tool_is_called_with_its_input(client: OpenAI, stream: bool) -> None:
    question = 'call note {"input": "buy *bread*"}'

    first = _response(client, stream, model="Tool", input=question, tools=[NOTE])

    (call,) = [item for item in first.output if item.type == "custom_tool_call"]
    assert (call.name, call.input) == ("note", "buy *bread*")


def test_tools_of_other_types_are_left_out(client: OpenAI) -> None:
    tools: list[Any] = [{"type": "web_search"}, {"type": "tomorrow's"}, WEATHER]

    response = client.responses.create(model="GPT-4o", input="hi", tools=tools)

    assert response.status == "completed"
    # GPT-4o has no parameter for a search.
    assert [tool.type for tool in response.tools] == ["function"]


def test_a_response_is_parsed_into_a_model(client: OpenAI) -> None:
    response = client.responses.parse(model="Json", input="Solve it.", text_format=Solution)

    assert isinstance(response.output_parsed, Solution)


def test_a_streamed_response_is_parsed_into_a_model(client: OpenAI) -> None:
    asked: Any = {"model": "Json", "input": "Solve it.", "text_format": Solution}
    with client.responses.stream(**asked) as stream:
        parsed = stream.get_final_response().output_parsed

    assert isinstance(parsed, Solution)


def test_an_answer_of_another_form_is_a_refusal(service: Service) -> None:
    schema = {"type": "json_schema", "name": "s", "schema": Solution.model_json_schema()}
    asked = {"model": "Json-never", "input": "Solve it.", "text": {"format": schema}}
    with service.http() as http:
        stream = http.post("/v1/responses", json=asked | {"stream": True})

    (message,) = check(events_of(stream.text))["output"]
    assert message["content"][-1]["type"] == "refusal"


def test_a_failure_after_the_first_word_ends_in_a_failed_response(service: Service) -> None:
    script = [
        {"event": "text", "data": {"text": "half"}},
        # Poe's, so that the first word has been sent when the error comes.
        {"sleep": 0.5},
        {"event": "error", "data": {"text": "Out of order.", "allow_retry": False}},
    ]
    asked = {"model": "Script", "input": json.dumps(script), "stream": True}
    with service.http() as http:
        stream = http.post("/v1/responses", json=asked)

    response = check(events_of(stream.text))
    assert response["status"] == "failed"
    assert response["error"]["code"] == "server_error"


def test_conversations_of_openais_are_refused_by_name(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(model="Echo", input="hi", conversation="conv_1")

    assert refused.value.param == "conversation"


def test_errors_have_openais_bodies(client: OpenAI, service: Service) -> None:
    with pytest.raises(APIError):
        client.responses.create(model="Echo", input="hi", temperature=9)
    with pytest.raises(NotFoundError, match="not found"):
        client.responses.retrieve("resp_1")
    with httpx.Client(base_url=service.url, trust_env=False) as anyone:
        refused = anyone.post("/v1/responses", json={"model": "Echo", "input": "hi"})
    assert refused.status_code == 401
    assert_is(refused.json(), ERROR)


def test_a_stream_is_resumed_where_it_was_cut(service: Service) -> None:
    asked = {"model": "Echo", "input": "one two three four five", "stream": True}
    with service.http(**{"idempotency-key": "resumed-response"}) as http:
        first = events_of(http.post("/v1/responses", json=asked).text)
        cut = next(n for n, event in enumerate(first) if event["type"].endswith("text.delta"))
        last = {"last-event-id": first[cut]["event_id"]}
        answer = http.post("/v1/responses", json=asked, headers=last)

    lines = [line[6:] for line in answer.text.split("\n") if line.startswith("data: ")]
    assert [json.loads(line) for line in lines] == first[cut + 1 :]
    check(first)


def test_codex_gets_the_models_as_it_wants_them(service: Service) -> None:
    with service.http() as http:
        asked = http.get("/v1/models?client_version=0.169.0")
        others = http.get("/v1/models")

    assert asked.status_code == 200
    assert asked.json()["models"] == []
    assert_is(asked.json(), LIST_MODELS)
    assert "models" not in others.json()
    assert asked.json()["data"] == others.json()["data"]


def _response(client: OpenAI, stream: bool, **asked: Any) -> Any:
    if not stream:
        return client.responses.create(**asked)
    with client.responses.create(**asked, stream=True) as events:
        (end,) = [event for event in events if event.type == "response.completed"]
    with client.responses.stream(**asked) as helped:
        response = helped.get_final_response()
    assert _names(response) == _names(end.response)
    return response


def _names(response: Any) -> list[tuple[str, str | None]]:
    return [(item.type, getattr(item, "name", None)) for item in response.output]
