"""Bots that call tools, and what is checked of tools before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulated_poe.ask import Ask, from_query
from simulated_poe.bots import find
from simulated_poe.catalogue import Model
from simulated_poe.chat import Form, from_request, render
from simulated_poe.chunks import Head
from simulated_poe.failures import Malformed
from simulated_poe.settings import Settings
from simulated_poe.steps import DONE, Call, End, Raw, Status, Text, encode

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "", "parameters": s}}
    for s in [WEATHER]
]
CALL = 'call get_weather {"city": "Paris"}'
HEAD = Head("chatcmpl-1", "Tool", 0, 3)
MODEL = Model("Tool", "tool", tools=True)


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(call_id: str, arguments: str, name: str = "get_weather") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def result(call_id: str, content: str, name: str = "get_weather") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "name": name, "content": content}


def query(text: str, **fields: Any) -> Ask:
    return from_query({"query": [user(text)], "tools": TOOLS, **fields})


def chat(*messages: dict[str, Any], **fields: Any) -> Ask:
    body = {"model": "Tool", "messages": list(messages), "tools": TOOLS, **fields}
    return from_request(body, MODEL, Settings())


def calls(ask: Ask, bot: str = "Tool") -> list[tuple[str, Any]]:
    found = find(bot)
    assert found is not None
    played = [step for step in found[0].play(ask) if isinstance(step, Call)]
    assert len({call.id for call in played}) == len(played)
    return [(call.name, json.loads(call.arguments)) for call in played]


def text(ask: Ask, bot: str = "Tool") -> str:
    found = find(bot)
    assert found is not None
    return "".join(step.text for step in found[0].play(ask) if isinstance(step, Text))


@pytest.mark.parametrize(
    ("asked", "made"),
    [
        pytest.param(CALL, [("get_weather", {"city": "Paris"})], id="one"),
        pytest.param(
            'Call get_weather {"city": "{Oslo}"} and call time',
            [("get_weather", {"city": "{Oslo}"}), ("time", {})],
            id="two-and-one-unknown",
        ),
        pytest.param("What now?", [("get_weather", {"city": "text"})], id="by-default-the-first"),
    ],
)
def test_tool_calls_what_the_question_says(asked: str, made: list[Any]) -> None:
    assert calls(query(asked)) == made
    assert calls(chat(user(asked))) == made


def test_tool_quotes_the_results_in_both_dialects() -> None:
    one = called("c1", '{"city":"Paris"}')
    asked = query(CALL, tool_calls=[one], tool_results=[result("c1", "sunny")])
    chatted = chat(
        user(CALL),
        {"role": "assistant", "content": None, "tool_calls": [one]},
        result("c1", "sunny"),
    )

    assert text(asked) == text(chatted) == "get_weather says: sunny"
    assert calls(asked) == calls(chatted) == []


def test_tool_calls_again_when_asked_again() -> None:
    before = (
        user(CALL),
        {"role": "assistant", "tool_calls": [called("c1", '{"city":"Paris"}')]},
        result("c1", "sunny"),
        {"role": "assistant", "content": "sunny"},
    )

    assert calls(chat(*before, user(CALL))) == [("get_weather", {"city": "Paris"})]


@pytest.mark.parametrize(
    ("fields", "made"),
    [
        pytest.param({"tool_choice": "none"}, [], id="none"),
        pytest.param(
            {"tool_choice": {"type": "function", "function": {"name": "get_weather"}}},
            ["get_weather"],
            id="named",
        ),
        pytest.param({"tool_choice": "required"}, ["get_weather"], id="required"),
        pytest.param({"parallel_tool_calls": False}, ["time"], id="one-at-a-time"),
        pytest.param({}, ["time", "get_weather"], id="all"),
    ],
)
def test_the_choice_of_tools_is_honoured(fields: dict[str, Any], made: list[str]) -> None:
    ask = chat(user('call time, call get_weather {"city": "X"}'), **fields)

    assert [name for name, _ in calls(ask)] == made


def test_an_agent_performs_one_step_per_round_with_the_tools_at_hand() -> None:
    tools = [
        {
            "type": "function",
            "function": {
                "name": name,
                "parameters": {"properties": {key: {} for key in fields}, "required": fields},
            },
        }
        for name, fields in {"Read_File": ["filePath"], "bash": ["command", "description"]}.items()
    ]
    script = 'Do this:\n1. call read {"path": "a.txt"}\n2. call bash {"command": "ls"}\n'
    history: list[dict[str, Any]] = [user(script)]
    seen = []

    while made := calls(ask := chat(*history, tools=tools), "Agent"):
        assert len(made) == 1
        seen += made
        call_id = f"c{len(seen)}"
        call = called(call_id, json.dumps(made[0][1]), made[0][0])
        history += [{"role": "assistant", "tool_calls": [call]}, result(call_id, f"r{call_id}")]

    assert seen == [
        ("Read_File", {"filePath": "a.txt"}),
        ("bash", {"command": "ls", "description": "text"}),
    ]
    assert text(ask, "Agent") == "All steps are done: 2. The last one gave: rc2"


def test_an_agent_counts_its_steps_in_a_flat_list_too() -> None:
    # The first call belongs to an earlier question.
    flat = [called("c1", '{"city": "B"}'), called("c2", '{"city": "A"}')]
    results = [result("c1", "one"), result("c2", "two")]
    script = '1. call get_weather {"city": "A"}\n2. call get_weather {"city": "B"}'

    ask = query(script, tool_calls=flat, tool_results=results)

    assert calls(ask, "Agent") == [("get_weather", {"city": "B"})]


def test_an_emulated_call_is_a_text_per_round() -> None:
    script = user('Follow [the list]: ["<call/>", "The end"] please')
    second = [script, {"role": "assistant", "content": "<call/>"}, user("result: [1]")]

    assert text(chat(script), "Emulate") == "<call/>"
    assert text(chat(*second), "Emulate") == "The end"


def test_the_bot_protocol_tells_a_call_in_chunks_with_nulls() -> None:
    found = find("Tool")
    assert found is not None
    raws = list(encode(found[0].play(query(CALL)), "lf", HEAD))
    data = [json.loads(r.data.split(b"data: ")[1]) for r in raws if isinstance(r, Raw)]

    meta, first, second, *_, finish, usage, done = data

    assert meta["content_type"] == "text/markdown"
    (one,), (two,) = (c["choices"][0]["delta"]["tool_calls"] for c in (first, second))
    assert (one["type"], one["function"]) == ("function", {"name": "get_weather", "arguments": ""})
    assert one["id"].startswith("call_")
    assert (two["id"], two["type"], two["function"]["name"]) == (None, None, None)
    assert finish["choices"][0] == {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
    assert (usage["choices"], usage["usage"]["prompt_tokens"]) == ([], 3)
    assert done == {}


def test_words_are_counted_in_the_whole_text_and_not_in_its_pieces() -> None:
    raws = list(encode([Text("won"), Text("der"), Text("ful day"), DONE], "lf", HEAD))

    usage = raws[-2]
    assert isinstance(usage, Raw)
    assert json.loads(usage.data.split(b"data: ")[1])["usage"]["completion_tokens"] == 2


def test_a_chat_tells_a_call_whole_or_in_fragments() -> None:
    steps = [Call(0, "c1", "f", '{"a": 12345}'), End("tool_calls")]

    (whole,) = render(steps, Form(HEAD, stream=False, usage=False))
    raws = [r.data[6:] for r in render(steps, Form(HEAD, True, False)) if isinstance(r, Raw)]

    assert isinstance(whole, Status)
    choice = whole.body["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"a": 12345}'
    deltas = [json.loads(raw)["choices"][0]["delta"] for raw in raws[:-2]]
    fragments = [delta["tool_calls"][0] for delta in deltas]
    assert [f.get("id") for f in fragments] == ["c1", *[None] * (len(fragments) - 1)]
    assert "".join(f["function"]["arguments"] for f in fragments) == '{"a": 12345}'
    assert json.loads(raws[-2])["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"tools": {}}, id="no-list"),
        pytest.param({"tools": [{"type": "function", "function": {"name": "f"}}]}, id="too-little"),
        pytest.param(
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "f", "description": "", "parameters": {}},
                    }
                ]
            },
            id="a-schema-without-properties",
        ),
        pytest.param(
            {"tool_calls": [{"id": "1", "type": "function", "function": {"name": "f"}}]},
            id="a-call-without-arguments",
        ),
        pytest.param({"tool_calls": [called("1", "{}")]}, id="a-call-without-result"),
        pytest.param({"tool_results": [result("1", "x")]}, id="a-result-without-call"),
        pytest.param(
            {
                "tool_calls": [called("1", "{}")] * 2,
                "tool_results": [result("1", "x")],
            },
            id="the-same-id-twice",
        ),
        pytest.param(
            {
                "tool_calls": [called("1", "{}")],
                "tool_results": [{"role": "tool", "tool_call_id": "1", "content": "x"}],
            },
            id="a-result-without-name",
        ),
    ],
)
def test_lists_that_poe_s_library_would_not_make_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        query("x", **fields)


@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        pytest.param([], {"tools": None, "tool_choice": "auto"}, id="a-choice-of-nothing"),
        pytest.param([], {"tool_choice": "always"}, id="no-such-choice"),
        pytest.param(
            [],
            {"tool_choice": {"type": "function", "function": {"name": "g"}}},
            id="a-choice-of-another",
        ),
        pytest.param([], {"tools": TOOLS * 2}, id="the-same-name-twice"),
        pytest.param([result("c1", "x")], {}, id="a-result-without-call"),
        pytest.param([{"role": "tool", "content": "x"}], {}, id="a-result-without-id"),
        pytest.param(
            [{"role": "assistant", "tool_calls": [called("c1", "{}")]}, user("and?")],
            {},
            id="a-call-without-result",
        ),
        pytest.param(
            [{"role": "assistant", "tool_calls": [{"id": "c1"}]}], {}, id="a-call-of-nothing"
        ),
    ],
)
def test_a_chat_with_wrong_tools_is_refused(
    messages: list[dict[str, Any]], fields: dict[str, Any]
) -> None:
    with pytest.raises(Malformed):
        chat(user("x"), *messages, **fields)
