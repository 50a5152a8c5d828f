"""Anthropic's Messages API by its own Python SDK, over the whole service."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic

from contract.messages import Event, Failed, FailureKind, Finished, Text
from gateway.anthropic.thinking import UNSIGNED
from simulated_poe import Model, SimulatedPoe
from tests.support.anthropic_wire import check, events_of
from tests.support.deployment import KEY, Deployment, Gateway, eventually, running_redis
from tests.support.gateway_alone import Rig, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGES = "/v1/messages?beta=true"
CORPUS = Path(__file__).parents[1] / "unit" / "gateway_anthropic" / "beta_fields.json"
READ: Any = {
    "name": "Read",
    "description": "Reads a file.",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
}
STEPS = [{"path": "a.py"}, {"path": "b.py"}, {"path": "c.py"}]
BY_NATURE = "Please: " + "\n".join(f"call Read {json.dumps(step)}" for step in STEPS)
BY_WORDS = json.dumps(
    [f'<tool_call name="Read">{json.dumps(step)}</tool_call>' for step in STEPS] + ["All done."]
)
_WORKER = """
coolDown = 0.0
rateLimit = 500
maxInFlight = 50

[models."Emulate"]
protocol = "bot"
toolEmulation = true
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    async with running_redis() as redis:
        running = Deployment(tmp_path_factory.mktemp("anthropic"), redis)
        try:
            poe = await running.start_poe()
            poe.catalogue.add(Model("Bot-Agent", "agent", tools=True))
            claude = Model("Claude-Agent", "agent", tools=True, endpoints=("/v1/messages",))
            poe.catalogue.add(claude)
            await running.start_worker(config=_WORKER, tokens="sim-a,sim-b,sim-c")
            yield running
        finally:
            await running.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(service: Deployment) -> Gateway:
    running = await service.start_gateway(config="allowAnyBot = true")
    async with running.http() as http:

        async def lists() -> bool:
            return bool((await http.get("/v1/models")).json()["data"])

        await eventually(lists, "the catalogue")
    return running


@pytest_asyncio.fixture(loop_scope="module")
async def client(gateway: Gateway) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as sdk:
        yield sdk


@pytest.fixture
def poe(service: Deployment) -> SimulatedPoe:
    assert service.poe is not None
    return service.poe


async def say(client: AsyncAnthropic, stream: bool, **asked: Any) -> Any:
    """Ask for a message, streamed or not."""
    asked = {"max_tokens": 4_000} | asked
    if not stream:
        return await client.messages.create(**asked)
    async with client.messages.stream(**asked) as events:
        return await events.get_final_message()


def user(text: str) -> Any:
    return {"role": "user", "content": text}


@pytest.mark.parametrize("stream", [True, False])
async def test_a_message_comes_whole_and_as_a_stream(client: AsyncAnthropic, stream: bool) -> None:
    message = await say(client, stream, model="Echo", messages=[user("Grüße, 世界 🙂")])

    (block,) = message.content
    assert (block.type, block.text) == ("text", "Grüße, 世界 🙂")
    assert (message.role, message.model, message.stop_reason) == ("assistant", "Echo", "end_turn")
    assert message.usage.input_tokens > 0
    assert message.usage.output_tokens > 0


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("model", "asked"),
    [
        ("Agent", BY_NATURE),
        ("Claude-Agent", BY_NATURE),
        ("Bot-Agent", BY_NATURE),
        ("Emulate", BY_WORDS),
    ],
)
async def test_tools_are_called_over_several_rounds(
    client: AsyncAnthropic, model: str, asked: str, stream: bool
) -> None:
    messages: list[Any] = [user(asked)]
    given: list[Any] = []
    ids: set[str] = set()
    for _ in range(5):
        message = await say(client, stream, model=model, messages=messages, tools=[READ])
        if message.stop_reason != "tool_use":
            break
        (call,) = [block for block in message.content if block.type == "tool_use"]
        given.append(call.input)
        ids.add(call.id)
        result = [{"type": "text", "text": f"content of {call.input['path']}"}]
        done = {"type": "tool_result", "tool_use_id": call.id, "content": result}
        messages += [
            {"role": "assistant", "content": message.content},
            {"role": "user", "content": [done]},
        ]

    assert given == STEPS
    assert len(ids) == len(STEPS)
    assert message.stop_reason == "end_turn"
    assert message.content[0].text.startswith("All ")


@pytest.mark.parametrize("stream", [True, False])
async def test_thoughts_are_told_and_are_not_sent_back_to_the_model(
    client: AsyncAnthropic, poe: SimulatedPoe, stream: bool
) -> None:
    thinking: Any = {"type": "enabled", "budget_tokens": 2_000}
    asked = {"model": "Reason", "thinking": thinking}

    first = await say(client, stream, messages=[user("Why?")], **asked)
    again = [user("Why?"), {"role": "assistant", "content": first.content}, user("Really?")]
    second = await say(client, stream, messages=again, **asked)

    thoughts, answer = first.content
    assert (thoughts.type, thoughts.signature) == ("thinking", UNSIGNED)
    assert "Why?" in thoughts.thinking
    assert answer.text == "The answer to: Why?"
    assert second.content[-1].text == "The answer to: Really?"
    sent = json.dumps(poe.record.bodies[-1])
    assert "The answer to: Why?" in sent
    assert UNSIGNED not in sent
    assert "The question is" not in sent


async def test_who_has_not_asked_for_thoughts_gets_none(client: AsyncAnthropic) -> None:
    message = await say(client, True, model="Reason", messages=[user("Why?")])

    assert [block.type for block in message.content] == ["text"]


@pytest.mark.parametrize("stream", [True, False])
async def test_thoughts_that_poe_has_signed_go_back_to_it_as_they_came(
    client: AsyncAnthropic, poe: SimulatedPoe, stream: bool
) -> None:
    asked = {"model": "Claude-Opus-4.8", "thinking": {"type": "adaptive"}}

    first = await say(client, stream, messages=[user("Why?")], **asked)
    again = [user("Why?"), {"role": "assistant", "content": first.content}, user("Really?")]
    second = await say(client, stream, messages=again, **asked)

    assert first.model == "Claude-Opus-4.8"
    (signed, *_) = [block.signature for block in first.content if block.type == "thinking"]
    assert signed != UNSIGNED
    assert signed in json.dumps(poe.record.bodies[-1])
    assert second.stop_reason == "end_turn"


async def test_thoughts_of_another_model_are_not_shown_to_one_that_signs_its_own(
    client: AsyncAnthropic, poe: SimulatedPoe
) -> None:
    thinking: Any = {"type": "adaptive"}
    first = await say(client, True, model="Reason", messages=[user("Why?")], thinking=thinking)
    again = [user("Why?"), {"role": "assistant", "content": first.content}, user("Really?")]

    second = await say(client, True, model="Claude-Opus-4.8", messages=again, thinking=thinking)

    assert second.stop_reason == "end_turn"
    assert poe.record.calls[-1].kind == "messages"
    assert UNSIGNED not in json.dumps(poe.record.bodies[-1])


@pytest.mark.parametrize("stream", [True, False])
async def test_the_stop_sequence_that_ends_an_answer_is_told(
    client: AsyncAnthropic, stream: bool
) -> None:
    stops = ["x", "y", "z", "zz", "END", "5"]

    message = await say(
        client, stream, model="Count", messages=[user("count to 9")], stop_sequences=stops
    )

    assert message.content[0].text == "1 2 3 4 "
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "5")


async def test_an_answer_continues_what_the_client_has_begun(
    client: AsyncAnthropic, poe: SimulatedPoe
) -> None:
    begun: Any = {"role": "assistant", "content": "The answer is ("}

    await say(client, False, model="Roles", messages=[user("Choose.")])
    await say(client, False, model="Echo", messages=[user("Choose."), begun])

    assert poe.record.bodies[-1]["messages"][-1] == begun


@pytest.mark.parametrize(
    ("key", "asked", "fault"),
    [
        ("sk-wrong", {}, anthropic.AuthenticationError),
        (KEY, {"model": "claude-of-nowhere", "system": "x"}, None),
        (KEY, {"messages": []}, anthropic.BadRequestError),
        (KEY, {"model": "Fail-overload"}, None),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_errors_are_the_sdks_own_and_have_the_requests_id(
    gateway: Gateway, key: str, asked: dict[str, Any], fault: Any, stream: bool
) -> None:
    async with AsyncAnthropic(base_url=gateway.url, api_key=key, max_retries=0) as client:
        with pytest.raises(fault or anthropic.APIStatusError) as caught:
            await say(client, stream, **({"model": "Echo", "messages": [user("hi")]} | asked))

    error = caught.value
    assert error.request_id
    assert error.request_id == error.response.headers["x-request-id"]
    assert error.body["request_id"] == error.request_id
    assert error.body["type"] == "error"


async def test_no_field_and_no_header_of_a_beta_is_refused(gateway: Gateway) -> None:
    corpus = json.loads(CORPUS.read_bytes())
    betas = {
        "anthropic-version": "2027-12-31",
        "anthropic-beta": "claude-code-20250219,context-1m-2025-08-07,of-next-year-2027-01-01",
        "anthropic-novelty": "1",
        "x-app": "cli",
    }
    asked = {"model": "Tool", "max_tokens": 50, "messages": [user("hi")]}

    async with gateway.http() as http:
        answers = [
            (name, await http.post(MESSAGES, json=asked | fields, headers=betas))
            for name, fields in corpus.items()
        ]

    assert len(answers) >= 30
    assert {name: answer.text for name, answer in answers if answer.status_code != 200} == {}


async def test_what_surrounds_messages_is_there(gateway: Gateway, client: AsyncAnthropic) -> None:
    counted = await client.messages.count_tokens(model="Echo", messages=[user("x" * 4_000)])
    names = [model.id async for model in client.models.list(limit=10)]
    page = await client.models.list(limit=1_000)
    one = await client.models.retrieve(names[3])
    async with gateway.http(key=None) as http:
        hello = await http.head("/api/hello")
        origin = {"origin": "https://app.example", "access-control-request-method": "POST"}
        wanted = "x-api-key,anthropic-version,anthropic-dangerous-direct-browser-access"
        asked = origin | {"access-control-request-headers": wanted}
        preflight = await http.options("/v1/messages", headers=asked)
        refused = await http.get("/v1/models", headers={"anthropic-version": "2023-06-01"})

    assert 1_000 <= counted.input_tokens < 1_020
    assert names == [model.id for model in page.data]
    assert not page.has_more
    assert len(names) == len(set(names)) > 20
    assert (one.id, one.type) == (names[3], "model")
    assert (hello.status_code, hello.content) == (200, b"")
    assert preflight.headers["access-control-allow-headers"] == wanted
    assert "request-id" in refused.headers["access-control-expose-headers"]
    assert refused.headers["access-control-allow-origin"] == "*"
    assert refused.json()["error"]["type"] == "authentication_error"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A gateway with a worker that answers when it is told, and streams that begin at once."""
    async with rig(tmp_path_factory.mktemp("alone"), "statusHold = 0") as running:
        yield running


async def told_while_it_waits(alone: Rig, *events: Event) -> tuple[httpx.Response, str]:
    """Ask for a stream, and have its answer begin when the stream has."""
    asked = {"model": "Test", "max_tokens": 9, "messages": [user("hi")], "stream": True}
    told = ""
    async with alone.gateway.http() as http, http.stream("POST", MESSAGES, json=asked) as answer:
        async for piece in answer.aiter_text():
            if not told:
                answering = await alone.worker.take()
                await answering.begin()
                await answering.say(*events)
            told += piece
    return answer, told


async def test_a_stream_begins_and_pings_while_it_waits(alone: Rig) -> None:
    answer, told = await told_while_it_waits(alone, Text("late"), Finished())

    assert answer.headers["content-type"].startswith("text/event-stream")
    first, *rest = events_of(told)
    assert first == {"type": "ping"}
    assert check(rest)["content"] == [{"type": "text", "text": "late"}]


async def test_what_goes_wrong_while_it_waits_is_an_event(alone: Rig) -> None:
    failed = Failed(FailureKind.OVERLOADED, "Poe is busy.")

    answer, told = await told_while_it_waits(alone, failed)

    ping, error = events_of(told)
    assert ping == {"type": "ping"}
    assert error["error"] == {"type": "overloaded_error", "message": "Poe is busy."}
    assert error["request_id"] == answer.headers["request-id"]
