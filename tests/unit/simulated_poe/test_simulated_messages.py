"""The simulated Poe's Anthropic API: what it accepts, and what it says."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from simulated_poe.bots import find
from simulated_poe.catalogue import Catalogue, Model
from simulated_poe.chunks import Head
from simulated_poe.failures import FAILURES, Malformed
from simulated_poe.message_events import as_status, render
from simulated_poe.messages import from_request
from simulated_poe.settings import Settings
from simulated_poe.signatures import hidden, is_hidden, signature
from simulated_poe.steps import Raw, Status, Text

HEADERS = {"anthropic-version": "2023-06-01"}
TOOL = {"name": "look", "input_schema": {"type": "object"}}
DEFAULT = Settings()
BUDGET = {"type": "enabled", "budget_tokens": 1024}
ASKED = {"role": "user", "content": "call look {}"}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": signature("Hm.")}
USED = {"type": "tool_use", "id": "t", "name": "look", "input": {}}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "42"}]}


def model(name: str) -> Model:
    found = Catalogue().who_answers(name)
    assert found is not None
    return found.model


def said(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def read(
    *messages: dict[str, Any],
    headers: dict[str, str] = HEADERS,
    name: str = "claude-sonnet-4.5",
    settings: Settings = DEFAULT,
    **fields: Any,
) -> Any:
    body = {"max_tokens": 2000, "messages": list(messages) or [ASKED], **fields}
    body = {name: value for name, value in body.items() if value is not None}
    return from_request(body, headers, model(name), settings)


def refusal(*messages: dict[str, Any], **fields: Any) -> str:
    with pytest.raises(Malformed) as refused:
        read(*messages, **fields)
    return str(refused.value)


@pytest.mark.parametrize(
    ("messages", "fields", "reason"),
    [
        ((), {"headers": {}}, "anthropic-version"),
        ((), {"max_tokens": None}, "max_tokens"),
        ((), {"messages": []}, "messages"),
        ((), {"context_management": {}}, "context_management: Extra inputs are not permitted"),
        ((), {"tools": [TOOL | {"defer_loading": True}]}, "tools.0.custom.defer_loading: Extra"),
        ((), {"tools": [{"type": "web_search_2099", "name": "s"}]}, "tools.0: Input tag 'web_se"),
        ((), {"thinking": BUDGET | {"budget_tokens": 2000}}, "must be greater than"),
        ((), {"thinking": BUDGET | {"budget_tokens": 5}}, "at least 1024"),
        ((), {"thinking": {"type": "adaptive"}}, "thinking: Input tag 'adaptive'"),
        ((), {"temperature": 1.5}, "temperature"),
        ((), {"stop_sequences": [" "]}, "stop_sequences"),
        (({"role": "system", "content": "x"},), {}, 'Unexpected role "system"'),
        (({"role": "tool", "content": "x"},), {}, "messages.0.role"),
        ((ASKED, said(USED), ASKED), {}, "without `tool_result`"),
        ((ASKED, RESULT), {}, "unexpected `tool_use_id`"),
        ((ASKED, said(THOUGHT | {"signature": "x"}), ASKED), {}, "Invalid `signature`"),
        ((ASKED, said({"type": "redacted_thinking", "data": "eA=="}), ASKED), {}, "Invalid `data`"),
        ((ASKED, said(USED), RESULT), {"thinking": BUDGET}, "must start with a thinking block"),
    ],
)
def test_what_anthropic_refuses_is_refused(
    messages: tuple[dict[str, Any], ...], fields: dict[str, Any], reason: str
) -> None:
    assert reason in refusal(*messages, **fields)


@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        ((ASKED, said(THOUGHT, USED), RESULT), {"thinking": BUDGET}),
        ((ASKED, said(USED), RESULT), {}),
        ((ASKED, said({"type": "redacted_thinking", "data": hidden("x")}), ASKED), {}),
        ((), {"thinking": {"type": "adaptive"}, "name": "claude-opus-4.8"}),
        (
            ({"role": "system", "content": "x"}, ASKED),
            {"settings": Settings(system_messages="taken")},
        ),
    ],
)
def test_what_anthropic_accepts_is_accepted(
    messages: tuple[dict[str, Any], ...], fields: dict[str, Any]
) -> None:
    ask, _ = read(*messages, **fields)

    assert ask.text == "call look {}"


def test_a_beta_can_be_refused() -> None:
    headers = HEADERS | {"anthropic-beta": "a-1, b-1"}

    message = refusal(headers=headers, settings=Settings(refused_betas=("b-1",)))

    assert message == "Unexpected value(s) `b-1` for the `anthropic-beta` header."


def test_a_400_has_json_in_its_message() -> None:
    body = as_status(FAILURES[400], "No.").body

    assert body["error"] == {"type": "invalid_request_error", "message": '{"message":"No."}'}
    assert body["request_id"].startswith("req_poe_")


def test_only_the_simulation_can_hide_thoughts() -> None:
    assert is_hidden(hidden("x"))
    assert not is_hidden(hidden("x")[:-4] + "AAAA")
    assert not is_hidden("?")


def played(bot: str, **fields: Any) -> tuple[list[tuple[str, Any]], Any]:
    """What a stream says, and the same as one message."""
    found = find(bot)
    assert found is not None
    told = []
    for stream in (True, False):
        ask, form = read(stream=stream, **fields)
        steps = render(found[0].play(ask), Head("chatcmpl-1", "m", 0), form, {"input_tokens": 3})
        told.append(list(steps))
    blocks = [raw.data.decode().split("\n") for raw in told[0] if isinstance(raw, Raw)]
    events = [(name[7:], orjson.loads(data[6:])) for name, data, *_ in blocks]
    whole = told[1][-1]
    assert isinstance(whole, Status)
    return events, whole.body


def test_a_stream_and_a_whole_message_say_the_same() -> None:
    fields = {"tools": [TOOL], "thinking": BUDGET}
    fields["messages"] = [{"role": "user", "content": 'redacted\ncall look {"a": "b"}'}]

    events, whole = played("tool", **fields)

    names = [name for name, _ in events]
    assert names[:2] == ["message_start", "ping"]
    assert names[-2:] == ["message_delta", "message_stop"]
    assert names.count("content_block_start") == names.count("content_block_stop") == 3
    assert [block["type"] for block in whole["content"]] == [
        *("thinking", "redacted_thinking", "tool_use")
    ]
    assert whole["content"][0]["signature"] == signature(whole["content"][0]["thinking"])
    assert whole["content"][2]["input"] == {"a": "b"}
    assert whole["stop_reason"] == events[-2][1]["delta"]["stop_reason"] == "tool_use"
    assert whole["usage"] == events[-2][1]["usage"]
    assert whole["usage"]["input_tokens"] == 3


def test_thoughts_are_told_to_who_asks_for_them() -> None:
    _, whole = played("reason", thinking=BUDGET)
    _, without = played("reason")

    assert [block["type"] for block in whole["content"]] == ["thinking", "text"]
    assert [block["type"] for block in without["content"]] == ["text"]


def test_a_script_can_play_any_events() -> None:
    script = msgspec.json.encode([{"event": "message_start", "data": {"x": 1}}]).decode()
    ask, form = read({"role": "user", "content": script}, stream=True)
    found = find("script")
    assert found is not None

    (raw,) = render(found[0].play(ask), Head("chatcmpl-1", "m", 0), form, {})

    assert isinstance(raw, Raw)
    assert raw.data == b'event: message_start\ndata: {"type":"message_start","x":1}\n\n'


def test_an_error_before_the_answer_is_a_status() -> None:
    ask, form = read(stream=True)
    found = find("fail-insufficient_fund")
    assert found is not None
    steps = found[0].play(msgspec.structs.replace(ask, variant=found[1]))

    (status,) = render(steps, Head("chatcmpl-1", "m", 0), form, {})

    assert isinstance(status, Status)
    assert (status.status, status.body["error"]["type"]) == (402, "billing_error")


def test_a_late_error_is_an_event_or_a_cut() -> None:
    ask, form = read(stream=True)
    steps = [Text("a"), *find("fail-late")[0].play(msgspec.structs.replace(ask, variant="late"))]  # type: ignore[index]

    told = list(render(steps, Head("chatcmpl-1", "m", 0), form, {}))
    cut = msgspec.structs.replace(form, cuts=True)

    assert isinstance(told[-1], Raw)
    assert b'"type":"error","error":{"type":"api_error"' in told[-1].data
    assert not isinstance(list(render(steps, Head("chatcmpl-1", "m", 0), cut, {}))[-1], Raw)
