"""Anthropic's dialect over Poe's own Anthropic API: what passes as it is."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import pytest_asyncio

from simulated_poe import Model, Settings, SimulatedPoe
from tests.support.deployment import KEY, Deployment, eventually, running_redis

pytestmark = pytest.mark.asyncio(loop_scope="module")

SONNET = "claude-sonnet-4-5-20250929"
"""As Claude Code asks for Poe's claude-sonnet-4.5."""
ENDPOINTS = ("/v1/chat/completions", "/v1/messages")
BUDGET = {"type": "enabled", "budget_tokens": 1024}
LOOK = {"name": "Look", "input_schema": {"type": "object", "properties": {"at": {}}}}
STEPS = "Please (redacted): " + "\n".join(f'call Look {{"at": "{at} 🙂"}}' for at in "abc")
ADAPTIVE = {"type": "adaptive", "display": "summarized"}
CORPUS = Path(__file__).parents[1] / "unit" / "gateway_anthropic" / "beta_fields.json"
PICTURE = b64encode(Random(7).randbytes(100_000)).decode()
CACHED = {"cache_control": {"type": "ephemeral"}}
START = {"event": "message_start", "data": {"message": {"usage": {"input_tokens": 1}}}}
BLOCK = {
    "event": "content_block_start",
    "data": {"index": 0, "content_block": {"type": "text", "text": ""}},
}
DELTA = {
    "event": "content_block_delta",
    "data": {"index": 0, "delta": {"type": "text_delta", "text": "A"}},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    async with running_redis() as redis:
        running = Deployment(tmp_path_factory.mktemp("messages"), redis)
        try:
            poe = await running.start_poe(Settings(refused_betas=("of-2099",)))
            for name in ("Script", "Agent"):
                poe.catalogue.add(
                    Model(f"Native-{name}", name.lower(), tools=True, endpoints=ENDPOINTS)
                )
            limits = "coolDown = 0.0\nrateLimit = 500\nmaxInFlight = 50"
            await running.start_worker(config=limits, tokens="sim-a")
            yield running
        finally:
            await running.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(service: Deployment) -> AsyncIterator[httpx.AsyncClient]:
    gateway = await service.start_gateway(config="allowAnyBot = true")
    headers = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=30) as client:

        async def lists() -> bool:
            return bool((await client.get("/v1/models")).json()["data"])

        await eventually(lists, "the catalogue")
        yield client


@pytest.fixture
def poe(service: Deployment) -> SimulatedPoe:
    assert service.poe is not None
    service.poe.record.clear()
    return service.poe


def user(*content: Any) -> Any:
    return {"role": "user", "content": [*content]}


def text(words: str, **fields: Any) -> Any:
    return {"type": "text", "text": words, **fields}


async def ask(http: httpx.AsyncClient, *messages: Any, **fields: Any) -> httpx.Response:
    headers = {"anthropic-beta": beta} if (beta := fields.pop("beta", "")) else {}
    asked = {"model": SONNET, "max_tokens": 4000, "messages": [*messages], **fields}
    return await http.post("/v1/messages?beta=true", json=asked, headers=headers)


def events(reply: httpx.Response) -> list[tuple[str, Any]]:
    assert reply.status_code == 200, reply.text
    blocks = [each.split("\n") for each in reply.text.split("\n\n") if each]
    told = [(name.removeprefix("event: "), json.loads(data[6:])) for name, data in blocks]
    return [(name, data) for name, data in told if name != "ping"]


def content_of(told: list[tuple[str, Any]]) -> list[Any]:
    """The blocks that a client has at a stream's end, built without an SDK's kindness."""
    content: list[Any] = []
    for name, data in told:
        if name == "content_block_start":
            assert data["index"] == len(content)
            content.append(dict(data["content_block"]) | {"partial": ""})
        elif name == "content_block_delta":
            block, delta = content[data["index"]], dict(data["delta"])
            del delta["type"]
            ((field, more),) = delta.items()
            field = "partial" if field == "partial_json" else field
            block[field] = block.get(field, "") + more
    for block in content:
        partial = block.pop("partial")
        if block["type"] == "tool_use":
            block["input"] = json.loads(partial or "{}")
    return content


def kinds(poe: SimulatedPoe) -> list[str]:
    return [call.kind for call in poe.record.calls]


@pytest.mark.parametrize("stream", [True, False])
async def test_signatures_survive_rounds_of_tools(
    http: httpx.AsyncClient, poe: SimulatedPoe, stream: bool
) -> None:
    messages = [user(text(STEPS))]
    given = []
    for number in range(4):
        reply = await ask(
            http, *messages, model="Native-Agent", tools=[LOOK], thinking=BUDGET, stream=stream
        )
        # Poe verifies what it has signed and hidden in the rounds before.
        assert reply.status_code == 200, reply.text
        content = content_of(events(reply)) if stream else reply.json()["content"]
        messages += [{"role": "assistant", "content": content}]
        assert [block["type"] for block in content[:2]] == ["thinking", "redacted_thinking"]
        if use := content[2] if content[2]["type"] == "tool_use" else None:
            given.append(use["input"]["at"])
            result = {"type": "tool_result", "tool_use_id": use["id"], "content": f"r{number}"}
            messages.append(user(result))

    assert given == ["a 🙂", "b 🙂", "c 🙂"]
    assert "The last one gave: r2" in messages[-1]["content"][2]["text"]
    assert kinds(poe) == ["messages"] * 4
    assert poe.record.bodies[-1]["messages"] == messages[:-1]


async def test_what_is_cached_is_read_from_the_cache(
    http: httpx.AsyncClient, poe: SimulatedPoe
) -> None:
    long = user(text("many words " * 50, **CACHED))

    first = events(await ask(http, long, stream=True))
    more = [{"role": "assistant", "content": "Yes?"}, user(text("And a few more.", **CACHED))]
    second = (await ask(http, long, *more)).json()

    written, read = first[0][1]["message"]["usage"], second["usage"]
    assert written["cache_creation_input_tokens"] == read["cache_read_input_tokens"] > 100
    assert read["cache_creation_input_tokens"] > 0
    assert poe.record.bodies[0]["messages"][0]["content"][0]["cache_control"] == {
        "type": "ephemeral"
    }


async def test_an_attachment_arrives_byte_for_byte(
    http: httpx.AsyncClient, poe: SimulatedPoe
) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    asked = user({"type": "image", "source": source, **CACHED}, text("Look twice."))
    linked = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}

    reply = await ask(http, asked, user(linked, text("And here.")))

    assert reply.status_code == 200, reply.text
    (body,) = poe.record.bodies
    assert body["messages"] == [asked, user(linked, text("And here."))]


async def test_what_poe_refuses_is_left_out_and_learned(
    http: httpx.AsyncClient, poe: SimulatedPoe
) -> None:
    odd = {
        "context_management": {"edits": []},
        "mcp_servers": [],
        "of_2099": {"a": [1]},
        "tools": [LOOK | {"defer_loading": True}, {"type": "search_2099", "name": "s"}],
        "thinking": {"type": "adaptive"},
        "beta": "a-1,of-2099",
    }
    later = {"role": "system", "content": "In mid-conversation."}

    first = await ask(http, user(text("Hello.")), later, model="claude-haiku-4-5", **odd)
    calls = len(poe.record.calls)
    again = await ask(http, user(text("Hello.")), later, model="claude-haiku-4-5", **odd)

    assert first.status_code == again.status_code == 200, first.text
    assert 1 < calls <= 9
    assert len(poe.record.calls) == calls + 1
    assert set(kinds(poe)) == {"messages"}
    body, headers = poe.record.bodies[-1], poe.record.headers[-1]
    assert body.keys() == {"model", "max_tokens", "messages", "stream", "tools"}
    assert body["tools"] == [LOOK]
    assert body["messages"][1] == later | {"role": "user"}
    assert headers["anthropic-beta"] == "a-1"


async def test_nothing_of_a_beta_is_refused_or_ends_the_native_way(
    http: httpx.AsyncClient, poe: SimulatedPoe
) -> None:
    refused, ways = {}, set()
    for name, fields in json.loads(CORPUS.read_bytes()).items():
        asked = {"messages": [user(text("Hi"))], "model": "claude-haiku-4.5"} | fields
        reply = await ask(http, *asked.pop("messages"), **asked)
        ways.add(kinds(poe)[-1])
        if reply.status_code != 200:
            refused[name] = reply.text

    assert refused == {}
    assert ways == {"messages"}


async def test_a_source_of_next_year_is_left_out(
    http: httpx.AsyncClient, poe: SimulatedPoe
) -> None:
    source = {"type": "artifact", "id": "x"}
    files = [{"type": "image", "source": source}, {"type": "document", "source": source}]

    reply = await ask(http, user(text("Hi"), *files))

    assert reply.json()["content"][0]["text"] == "Hi"
    assert kinds(poe) == ["messages", "chat"]


async def test_what_one_client_has_refused_is_left_to_others(
    http: httpx.AsyncClient, poe: SimulatedPoe
) -> None:
    model = {"model": "claude-opus-4.8"}
    own = {"thinking": {"type": "adaptive", "display": "sideways"}}
    forged = {"cache_control: Extra inputs are not permitted x": 1, "cache_control": {}}

    await ask(http, user(text("Hi")), **model, **own, **forged)
    mended = await ask(http, user(text("Hi")), **model, **own)
    other = await ask(
        http, user(text("Hi", **CACHED)), **model, thinking=ADAPTIVE, cache_control=CACHED
    )

    assert [each.status_code for each in (mended, other)] == [200, 200]
    assert "thinking" in poe.record.bodies[-2]
    assert "display" not in poe.record.bodies[-2]["thinking"]
    assert poe.record.bodies[-1]["thinking"] == ADAPTIVE
    assert poe.record.bodies[-1]["cache_control"] == CACHED


@pytest.mark.parametrize(
    "thought",
    [
        {"type": "thinking", "thinking": "Hm.", "signature": "poe2gpt-unsigned"},
        {"type": "thinking", "thinking": "Hm.", "signature": "Zm9yZWlnbg=="},
        {"type": "redacted_thinking", "data": "Zm9yZWlnbg=="},
    ],
    ids=["unsigned", "signed by another", "hidden by another"],
)
async def test_a_conversation_changes_to_a_model_that_has_not_thought_what_is_in_it(
    http: httpx.AsyncClient, poe: SimulatedPoe, thought: Any
) -> None:
    use = {"type": "tool_use", "id": "t1", "name": "Look", "input": {}}
    result = user({"type": "tool_result", "tool_use_id": "t1", "content": "r"})
    called = {"role": "assistant", "content": [thought, use]}

    reply = await ask(http, user(text("Hi")), called, result, tools=[LOOK], thinking=BUDGET)
    other = await ask(http, user(text("Hi")), thinking=BUDGET)

    assert reply.status_code == 200, reply.text
    assert set(kinds(poe)) == {"messages"}
    assert len(poe.record.calls) <= 4
    assert poe.record.bodies[-2]["messages"][1]["content"] == [use]
    assert other.json()["content"][0]["type"] == "thinking"


async def test_each_name_leads_to_the_model_that_is_meant(
    http: httpx.AsyncClient, poe: SimulatedPoe
) -> None:
    asked = ["claude-opus-4-8[1m]", "claude-3-5-haiku-latest", "Claude-Sonnet-4.6"]

    replies = [await ask(http, user(text("Hi")), model=name) for name in asked]

    assert [reply.json()["model"] for reply in replies] == asked
    assert [body["model"] for body in poe.record.bodies] == [
        *("claude-opus-4.8", "claude-haiku-4.5", "claude-sonnet-4.6")
    ]


async def test_a_model_that_does_not_speak_it_gets_a_translation(
    http: httpx.AsyncClient, poe: SimulatedPoe
) -> None:
    replies = [await ask(http, user(text("Hi")), model=name) for name in ("Echo", "Kimi-K3")]

    assert [reply.status_code for reply in replies] == [200, 200]
    assert kinds(poe) == ["chat", "bot"]


async def test_the_stop_sequence_that_ended_it_is_told(
    http: httpx.AsyncClient, poe: SimulatedPoe
) -> None:
    stops = [f"stop {number}" for number in range(9)]

    message = (await ask(http, user(text("one stop 7 two")), stop_sequences=stops)).json()

    assert (message["stop_reason"], message["stop_sequence"]) == ("stop_sequence", "stop 7")
    assert message["content"][0]["text"] == "one "


@pytest.mark.parametrize(
    ("script", "status", "kind"),
    [
        pytest.param(
            [
                START,
                BLOCK,
                {
                    "raw": 'event: error\ndata: {"type":"error","error":{"type":'
                    '"overloaded_error","message":"Overloaded"}}\n\n'
                },
            ],
            529,
            "overloaded_error",
            id="an error before it",
        ),
        pytest.param([START, BLOCK, {"cut": True}], 502, "api_error", id="a cut before it"),
    ],
)
async def test_a_failure_before_the_answer_has_its_status(
    http: httpx.AsyncClient, poe: SimulatedPoe, script: Any, status: int, kind: str
) -> None:
    reply = await ask(http, user(text(json.dumps(script))), model="Native-Script", stream=True)

    assert reply.status_code == status, reply.text
    assert reply.json()["error"]["type"] == kind
    assert set(kinds(poe)) == {"messages"}


@pytest.mark.parametrize(
    "words",
    [
        "messages.1.content.0: Invalid `signature` in `thinking` block",
        "prompt is too long: 250000 tokens > 200000 maximum",
        "output_config.effort: Input should be 'low', 'medium' or 'high'",
    ],
)
async def test_poes_words_about_the_request_arrive(
    http: httpx.AsyncClient, poe: SimulatedPoe, words: str
) -> None:
    error = {"type": "invalid_request_error", "message": json.dumps({"message": words})}
    script = [{"status": 400, "body": {"type": "error", "error": error}}]

    reply = await ask(http, user(text(json.dumps(script))), model="Native-Script", stream=True)

    assert reply.status_code == 400, reply.text
    assert words in reply.json()["error"]["message"]
    assert len(poe.record.calls) == 1


@pytest.mark.parametrize(
    "end",
    [
        pytest.param({"cut": True}, id="a cut"),
        pytest.param(
            {"raw": 'event: error\ndata: {"type":"error","error":{"type":"api_error"}}\n\n'},
            id="an error",
        ),
        pytest.param({"raw": 'event: content_block_delta\ndata: {"type":"con\n\n'}, id="nonsense"),
    ],
)
async def test_a_failure_amid_the_answer_ends_it_by_an_error_and_is_not_repeated(
    http: httpx.AsyncClient, poe: SimulatedPoe, end: Any
) -> None:
    script = json.dumps([START, BLOCK, DELTA, end])

    reply = await ask(http, user(text(script)), model="Native-Script", stream=True)

    # The failure may reach the gateway together with the beginning: then it is a status.
    if reply.status_code == 200:
        assert [name for name, _ in events(reply)] == [
            *("message_start", "content_block_start", "content_block_delta", "error")
        ]
    else:
        assert (reply.status_code, reply.json()["type"]) == (502, "error")
    assert len(poe.record.calls) == 1
