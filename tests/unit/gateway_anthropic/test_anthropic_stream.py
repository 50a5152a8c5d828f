"""An answer's events as Anthropic's: in their exact order, streamed and whole alike."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import (
    Event,
    File,
    Finished,
    Reasoning,
    Refusal,
    Replaced,
    Started,
    Text,
    ToolCallDelta,
    Usage,
    Verbatim,
)
from gateway.anthropic.answer import rebuilt
from gateway.anthropic.thinking import UNSIGNED
from tests.support.anthropic_wire import check, events_of
from tests.unit.gateway_anthropic.rendering import (
    INTERRUPTED,
    ask_of,
    frames_of,
    streamed,
    text_of,
    whole,
)

FULL: list[Event] = [
    Started("w", 1, "bot"),
    Reasoning("Let me "),
    Reasoning("see."),
    Text("I look. "),
    Text("Wait."),
    ToolCallDelta(0, "call_1", "read", '{"path"'),
    ToolCallDelta(0, arguments=': "a"}'),
    ToolCallDelta(1, "functions.list:1", "list"),
    Usage(10, 20),
    Finished("tool_calls"),
]


def test_the_events_of_a_stream_are_these() -> None:
    events = streamed([[event] for event in FULL])

    assert events == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": usage(7, 0),
            },
        },
        start(0, {"type": "thinking", "thinking": "", "signature": ""}),
        delta(0, "thinking", thinking="Let me "),
        delta(0, "thinking", thinking="see."),
        delta(0, "signature", signature=UNSIGNED),
        stop(0),
        start(1, {"type": "text", "text": ""}),
        delta(1, "text", text="I look. "),
        delta(1, "text", text="Wait."),
        stop(1),
        start(2, {"type": "tool_use", "id": "call_1", "name": "read", "input": {}}),
        delta(2, "input_json", partial_json=""),
        delta(2, "input_json", partial_json='{"path"'),
        delta(2, "input_json", partial_json=': "a"}'),
        stop(2),
        start(3, {"type": "tool_use", "id": "functions_list_1", "name": "list", "input": {}}),
        delta(3, "input_json", partial_json=""),
        stop(3),
        {
            "type": "message_delta",
            "delta": {"stop_reason": "tool_use", "stop_sequence": None},
            "usage": usage(10, 20),
        },
        {"type": "message_stop"},
    ]


def usage(prompt: int, completion: int) -> dict[str, int]:
    cache = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
    return {"input_tokens": prompt, **cache, "output_tokens": completion}


def start(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **fields: str) -> dict[str, Any]:
    told = {"type": f"{kind}_delta", **fields}
    return {"type": "content_block_delta", "index": index, "delta": told}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


EVENTS = st.lists(
    st.one_of(
        st.builds(Text, st.text("aé🙂\n", max_size=4)),
        st.builds(Reasoning, st.text("bü", max_size=3)),
        st.builds(Replaced, st.text("ab", max_size=4)),
        st.just(Refusal("no")),
        st.builds(
            lambda name: File(f"https://x/{name}", name, "image/png"), st.sampled_from(["a", "b"])
        ),
        st.just(Usage(3, 4)),
    ),
    max_size=12,
)
CALLS = [
    ToolCallDelta(0, "c1", "f", '{"a":'),
    Text("amid"),
    ToolCallDelta(0, arguments="1}"),
    ToolCallDelta(1, "c2", "g"),
]


@given(EVENTS, EVENTS, st.booleans(), st.lists(st.integers(0, 30)), st.booleans())
def test_whatever_comes_and_however_it_is_cut_the_order_is_anthropics(
    before: list[Event], after: list[Event], calls: bool, cuts: list[int], thinks: bool
) -> None:
    events = [*before, *(CALLS if calls else []), *after, Finished()]
    ask = ask_of(thinking={"type": "enabled" if thinks else "disabled", "budget_tokens": 1024})
    places = [0, *sorted({cut for cut in cuts if cut < len(events)}), len(events)]
    records = [events[a:b] for a, b in pairwise(places)]

    message = check(streamed(records, ask))
    told = whole(records, ask)

    tools = [block for block in message["content"] if block["type"] == "tool_use"]
    assert tools == [block for block in told["content"] if block["type"] == "tool_use"]
    assert [block["input"] for block in tools] == ([{"a": 1}, {}] if calls else [])
    assert {key: message[key] for key in ("id", "stop_reason", "usage")} == {
        key: told[key] for key in ("id", "stop_reason", "usage")
    }
    thoughts = [block for block in message["content"] if block["type"] == "thinking"]
    assert not thoughts or thinks


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        pytest.param([Text("a"), Finished()], ("end_turn", None), id="the model has said all"),
        pytest.param([Text("a"), Finished("length")], ("max_tokens", None), id="too long"),
        pytest.param([Finished("stop", "END")], ("stop_sequence", "END"), id="a stop sequence"),
        pytest.param([Text("a"), Finished("content_filter")], ("refusal", None), id="filtered"),
        pytest.param([Refusal("no"), Finished()], ("refusal", None), id="refused"),
        pytest.param([*CALLS, Finished()], ("tool_use", None), id="calls, and the end of a text"),
    ],
)
def test_why_it_has_ended_is_told(events: list[Event], reason: tuple[str, str | None]) -> None:
    message, told = check(streamed([events])), whole([events])

    assert (message["stop_reason"], message["stop_sequence"]) == reason
    assert (told["stop_reason"], told["stop_sequence"]) == reason


def test_a_whole_message_has_thoughts_then_text_then_calls() -> None:
    assert whole([FULL]) == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "Let me see.", "signature": UNSIGNED},
            {"type": "text", "text": "I look. Wait."},
            {"type": "tool_use", "id": "call_1", "name": "read", "input": {"path": "a"}},
            {"type": "tool_use", "id": "functions_list_1", "name": "list", "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": usage(10, 20),
    }


@pytest.mark.parametrize(
    ("thinking", "kinds"),
    [
        ({"type": "adaptive"}, ["thinking", "text"]),
        ({"type": "enabled", "budget_tokens": 2000}, ["thinking", "text"]),
        ({"type": "adaptive", "display": "omitted"}, ["text"]),
        ({"type": "disabled"}, ["text"]),
        (None, ["text"]),
    ],
)
def test_thoughts_are_told_to_who_asks_for_them(thinking: Any, kinds: list[str]) -> None:
    events = [Reasoning("hm"), Text("yes"), Finished()]
    ask = ask_of(thinking=thinking)

    assert [block["type"] for block in check(streamed([events], ask))["content"]] == kinds
    assert [block["type"] for block in whole([events], ask)["content"]] == kinds


def test_thoughts_within_the_text_are_the_operators_choice() -> None:
    events = [Reasoning("hm"), Text("yes"), Finished()]
    ask = ask_of()

    (block,) = check(streamed([events], ask, reasoning="inline"))["content"]

    assert block == {"type": "text", "text": "<think>\nhm\n</think>\n\nyes"}
    assert whole([events], ask, reasoning="inline")["content"] == [block]
    assert whole([events], reasoning="drop")["content"] == [{"type": "text", "text": "yes"}]


def test_counts_that_nobody_has_told_are_marked() -> None:
    events = [Text("abcdefgh"), Finished()]

    assert check(streamed([events]))["usage"] == usage(7, 2) | {"estimated": True}
    assert whole([events])["usage"] == usage(7, 2) | {"estimated": True}


def test_what_was_read_from_a_cache_is_counted_apart() -> None:
    events = [Text("a"), Usage(10, 2, cached_tokens=8), Finished()]

    assert check(streamed([events]))["usage"] == (usage(2, 2) | {"cache_read_input_tokens": 8})


def test_a_failure_ends_a_stream_and_nothing_follows() -> None:
    failed = [Text("half"), INTERRUPTED]

    events = streamed([failed], failed=INTERRUPTED)

    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "error",
    ]
    assert events[-1] == {
        "type": "error",
        "error": {"type": "api_error", "message": "The worker died."},
        "request_id": "req_1",
    }


def test_a_failure_before_all_is_told_without_a_message() -> None:
    assert [event["type"] for event in streamed([[INTERRUPTED]], failed=INTERRUPTED)] == ["error"]


def test_long_texts_come_in_pieces_and_as_ascii() -> None:
    text = "é🙂" * 20_000

    told = text_of(frames_of([[Text(text), Finished()]]))

    assert told.isascii()
    assert check(events_of(told))["content"] == [{"type": "text", "text": text}]


def test_half_a_call_is_never_mended() -> None:
    late = [ToolCallDelta(0, "c1", "f", "{"), ToolCallDelta(1, "c2", "g", "{}")]

    with pytest.raises(ValueError, match="behind another call"):
        streamed([[*late, ToolCallDelta(0, arguments="}"), Finished()]])


NATIVE = (Path(__file__).parent / "native.sse").read_text()
"""What an upstream of the same API says: with spaces of its own, and things of next year."""


def native() -> list[Verbatim]:
    lines = [event.split("\n") for event in NATIVE.split("\n\n") if event]
    return [
        Verbatim(name.removeprefix("event: "), data.removeprefix("data: ")) for name, data in lines
    ]


def test_what_an_upstream_of_the_same_api_says_passes_byte_for_byte() -> None:
    events = native()

    records = [[Started("w", 1, "b"), *events[:4]], [*events[4:], Usage(9, 9), Finished()]]
    first, rest = text_of(frames_of(records)).split("\n\n", 1)

    assert rest == NATIVE.split("\n\n", 1)[1]
    start = json.loads(events[0].data)
    start["message"]["model"] = "m"
    assert events_of(first + "\n\n") == [start]


def test_what_an_upstream_of_the_same_api_says_is_put_together_for_who_wants_it_whole() -> None:
    assert whole([[*native(), Usage(9, 9), Finished("tool_calls")]]) == {
        "id": "msg_up",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "Eq=="},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "ok", "citations": [{"a": 1}], "novelty": [1]},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "context_management": {"applied_edits": []},
        "usage": {"input_tokens": 5, "cache_read_input_tokens": 4, "output_tokens": 9},
    }


def test_an_upstream_of_the_same_api_that_fails_amid_it_ends_in_an_error() -> None:
    frames = frames_of([[*native()[:3], INTERRUPTED]], failed=INTERRUPTED)

    assert [frame.event for frame in frames] == [*[event.name for event in native()[:3]], "error"]


@pytest.mark.parametrize(
    ("start", "usage"),
    [
        (
            {"content": [], "usage": {"input_tokens": 3}},
            {"input_tokens": 3, "output_tokens": 5},
        ),
        ({"content": None, "usage": None}, {"output_tokens": 5}),
        ({}, {"output_tokens": 5}),
    ],
)
def test_a_message_is_rebuilt_from_events_that_leave_something_out(
    start: dict[str, Any], usage: dict[str, int]
) -> None:
    told: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 2, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "text_delta", "text": "hi"}},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn"},
            "usage": {"output_tokens": 5, "input_tokens": None},
        },
        {"type": "message_delta", "delta": {}, "usage": None},
    ]

    message = rebuilt(Verbatim(each["type"], json.dumps(each)) for each in told)

    assert message["content"] == [{"type": "text", "text": "hi"}]
    assert message["stop_reason"] == "end_turn"
    assert message["usage"] == usage
