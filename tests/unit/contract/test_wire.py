"""The bytes that cross Redis. To change one of these is a decision about a running deployment."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import (
    Catalogue,
    Event,
    Failed,
    FailureKind,
    File,
    Finished,
    Format,
    Frame,
    Job,
    MediaPart,
    Message,
    Model,
    Native,
    Options,
    Reasoning,
    Record,
    Refusal,
    Replaced,
    Started,
    Text,
    TextPart,
    TokenCounts,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
    Verbatim,
    WorkerReport,
    is_output,
    is_terminal,
)
from contract.prices import Price

EVENTS = [
    pytest.param(
        Started("w1", 2, "Bot", "token-1a2b3c", 0.25),
        b"\x96\xa7started\xa2w1\x02\xa3Bot\xactoken-1a2b3c\xcb\x3f\xd0\x00\x00\x00\x00\x00\x00",
        id="Started",
    ),
    pytest.param(Text("añ"), b"\x92\xa4text\xa3a\xc3\xb1", id="Text"),
    pytest.param(Replaced("new"), b"\x92\xa8replaced\xa3new", id="Replaced"),
    pytest.param(Reasoning("hm"), b"\x92\xa9reasoning\xa2hm", id="Reasoning"),
    pytest.param(
        ToolCallDelta(0, "c1", "f", "{}"),
        b"\x95\xa4tool\x00\xa2c1\xa1f\xa2{}",
        id="ToolCallDelta",
    ),
    pytest.param(Refusal("no"), b"\x92\xa7refusal\xa2no", id="Refusal"),
    pytest.param(
        File("https://x/y", "y.png", "image/png", "ref"),
        b"\x95\xa4file\xabhttps://x/y\xa5y.png\xa9image/png\xa3ref",
        id="File",
    ),
    pytest.param(Usage(10, 300), b"\x96\xa5usage\x0a\xcd\x01\x2c\xc0\xc0\xc0", id="Usage"),
    pytest.param(
        Usage(10, 300, 8, 200, 2),
        b"\x96\xa5usage\x0a\xcd\x01\x2c\x08\xcc\xc8\x02",
        id="Usage with details",
    ),
    pytest.param(
        Verbatim("ping", '{"a":"añ"}', "text"),
        b'\x94\xa8verbatim\xa4ping\xab{"a":"a\xc3\xb1"}\xa4text',
        id="Verbatim",
    ),
    pytest.param(Finished("length"), b"\x93\xa8finished\xa6length\xa0", id="Finished"),
    pytest.param(
        Failed(FailureKind.RATE_LIMITED, "wait", 1.5, True),
        b"\x96\xa6failed\xacrate_limited\xa4wait\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xc3\xa0",
        id="Failed",
    ),
    pytest.param(
        Failed(FailureKind.INTERNAL, "oops"),
        b"\x96\xa6failed\xa8internal\xa4oops\xc0\xc2\xa0",
        id="Failed without the optional",
    ),
]

OPTIONS = [
    pytest.param(
        Options(tools=(Tool("f", "", {"type": "object"}, True),), tool_choice="auto"),
        b"\x9f\xc0\x90\xc0\xc0\xc0\xa0\x91\x94\xa1f\xa0\x81\xa4type\xa6object\xc3"
        b"\xa4auto\xa0\xc0\xc0\x80\xa0\xc2\xc0",
        id="Options with tools",
    ),
    pytest.param(
        Options(max_tokens=9, format=Format("n", {}), extra={"a": 1}),
        b"\x9f\xc0\x90\xc0\xc0\x09\xa0\x90\xa0\xa0\xc0\x92\xa1n\x80\x81\xa1a\x01\xa0\xc2\xc0",
        id="Options with a format",
    ),
]

MODEL = b"\x9d\xa1m\x01\xa1o\xa0\xc0\x90\x90\xc0\x90\x90\x80\xc2\x95\x01\x02\x03\xc0\x05"
MESSAGES = [
    pytest.param(
        Message("user", (TextPart("see"), MediaPart("image", "data:,x", "image/png", "n", "low"))),
        b"\x95\xa4user\x92\x92\xa4text\xa3see"
        b"\x98\xa5media\xa5image\xa7data:,x\xa9image/png\xa1n\xa3low\xa0\x00\xa0\x90\xa0",
        id="Message of parts",
    ),
    pytest.param(
        Record("j1", 3, 7, (Text("a"), Finished())),
        b"\x94\xa2j1\x03\x07\x92\x92\xa4text\xa1a\x93\xa8finished\xa4stop\xa0",
        id="Record",
    ),
    pytest.param(
        Job(
            "j1",
            "client",
            "GPT-4o",
            (
                Message("system", "be"),
                Message("assistant", "", "", (ToolCall("c", "f", "{}"),)),
                Message("tool", "42", "f", (), "c"),
            ),
            Options(0.5, ("end",), {"50256": -100.0}),
            1000.0,
        ),
        b"\x99\xa2j1\xa6client\xa6GPT-4o"
        b"\x93"
        b"\x95\xa6system\xa2be\xa0\x90\xa0"
        b"\x95\xa9assistant\xa0\xa0\x91\x93\xa1c\xa1f\xa2{}\xa0"
        b"\x95\xa4tool\xa242\xa1f\x90\xa1c"
        b"\x9f\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00\x91\xa3end"
        b"\x81\xa550256\xcb\xc0\x59\x00\x00\x00\x00\x00\x00"
        b"\xc0\xc0\xa0\x90\xa0\xa0\xc0\xc0\x80\xa0\xc2\xc0"
        b"\xcb\x40\x8f\x40\x00\x00\x00\x00\x00\xc2\xc2\xc0",
        id="Job",
    ),
    pytest.param(
        Native("/v1/messages", (b'{"a":"', b'"}'), ("5d",), (("anthropic-beta", "b"),)),
        b'\x94\xac/v1/messages\x92\xc4\x06{"a":"\xc4\x02"}\x91\xa25d'
        b"\x91\x92\xaeanthropic-beta\xa1b",
        id="Native",
    ),
    pytest.param(
        WorkerReport("w1", "1.2", TokenCounts(1, 2, 3, 4, 5), 6, 0.5, 7, 8, 9.0),
        b"\x98\xa2w1\xa31.2\x95\x01\x02\x03\x04\x05\x06\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00"
        b"\x07\x08\xcb\x40\x22\x00\x00\x00\x00\x00\x00",
        id="WorkerReport",
    ),
    pytest.param(
        Catalogue(0.5, (Model("Bot", 9, "poe", "A Bot", 128, ("text",), ("image",)),)),
        b"\x92\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00"
        b"\x91\x9d\xa3Bot\x09\xa3poe\xa5A Bot\xcc\x80\x91\xa4text\x91\xa5image"
        b"\xc0\x90\x90\x80\xc2\xc0",
        id="Catalogue",
    ),
    pytest.param(Model("m", 1, "o", price=Price(1, 2, 3, None, 5)), MODEL, id="Model"),
]


def _decode(data: bytes, like: Any) -> Any:
    return msgspec.msgpack.decode(data, type=type(like))


def _array(message: Any) -> list[Any]:
    array: list[Any] = msgspec.msgpack.decode(msgspec.msgpack.encode(message))
    return array


@pytest.mark.parametrize(("message", "data"), [*EVENTS, *OPTIONS, *MESSAGES])
def test_the_bytes_are_these(message: Any, data: bytes) -> None:
    assert msgspec.msgpack.encode(message) == data
    assert _decode(data, message) == message


@pytest.mark.parametrize(("event", "data"), EVENTS)
def test_an_event_is_known_by_its_tag(event: Event, data: bytes) -> None:
    assert msgspec.msgpack.decode(data, type=Event) == event


@pytest.mark.parametrize(("message", "data"), [*EVENTS, *OPTIONS, *MESSAGES])
def test_what_a_newer_peer_adds_is_ignored(message: Any, data: bytes) -> None:
    newer = msgspec.msgpack.encode([*_array(message), "new", {"and": ["nested"]}])

    assert _decode(newer, message) == message


@pytest.mark.parametrize(
    ("required", "expected"),
    [
        pytest.param(
            ["started", "w1", 1, "Bot"], Started("w1", 1, "Bot", token="", waited=0.0), id="Started"
        ),
        pytest.param(["tool", 3], ToolCallDelta(3, "", "", ""), id="ToolCallDelta"),
        pytest.param(["verbatim", "n", "{}"], Verbatim("n", "{}", ""), id="Verbatim"),
        pytest.param(["/v1/x", []], Native("/v1/x", (), (), ()), id="Native"),
        pytest.param(["file", "u", "n", "t"], File("u", "n", "t", ""), id="File"),
        pytest.param(["finished"], Finished("stop"), id="Finished"),
        pytest.param(
            ["failed", "no_token", "m"], Failed(FailureKind.NO_TOKEN, "m", None, False), id="Failed"
        ),
        pytest.param(["user", "hi"], Message("user", "hi", "", (), ""), id="Message"),
        pytest.param([], Options(None, (), None), id="Options"),
        pytest.param(["usage", 1, 2], Usage(1, 2, None, None, None), id="Usage"),
        pytest.param(["j", "c", "m", []], Job("j", "c", "m", (), Options(), 0.0), id="Job"),
        pytest.param([], TokenCounts(0, 0, 0, 0, 0), id="TokenCounts"),
        pytest.param(
            ["w", "v", [], 0], WorkerReport("w", "v", TokenCounts(), 0, 0.0), id="WorkerReport"
        ),
        pytest.param(["m", 1, "o"], Model("m", 1, "o", "", None, (), ()), id="Model"),
    ],
)
def test_what_an_older_peer_leaves_out_has_a_default(required: list[Any], expected: Any) -> None:
    assert _decode(msgspec.msgpack.encode(required), expected) == expected


@pytest.mark.parametrize(("message", "data"), MESSAGES)
def test_a_message_that_lacks_what_it_always_had_is_refused(message: Any, data: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        _decode(msgspec.msgpack.encode([]), message)


def test_newer_events_inside_a_record_are_read_too() -> None:
    record = ["j", 1, 1, [["text", "a", "new"], ["finished"]], "new"]

    decoded = msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=Record)

    assert decoded == Record("j", 1, 1, (Text("a"), Finished("stop")))


def test_a_frame_is_an_array_of_records_whatever_form_its_length_has() -> None:
    record = msgspec.msgpack.encode(Record("j", 1, 1, (Text("a"),)))

    frames = [head + record for head in (b"\x91", b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01")]

    for frame in frames:
        assert msgspec.msgpack.decode(frame, type=Frame) == [Record("j", 1, 1, (Text("a"),))]


@given(text=st.text(), epoch=st.integers(0, 2**32 - 1), seq=st.integers(1, 2**53))
def test_any_text_survives(text: str, epoch: int, seq: int) -> None:
    record = Record("j", epoch, seq, (Text(text), Reasoning(text), Replaced(text)))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=Record) == record


def test_failures_keep_their_names() -> None:
    names = {kind.value for kind in FailureKind}

    assert names == {
        *("invalid_request", "context_too_long", "content_refused", "model_not_found"),
        *("model_not_allowed", "no_points", "no_token", "rate_limited", "queue_full"),
        *("queue_timeout", "overloaded", "unavailable", "upstream_failed", "upstream_timeout"),
        *("upstream_empty", "interrupted", "cancelled", "internal"),
    }


@pytest.mark.parametrize(("event", "data"), EVENTS)
def test_all_but_the_beginning_is_output_and_two_events_end_a_job(
    event: Event, data: bytes
) -> None:
    assert is_output(event) is (type(event) is not Started)
    assert is_terminal(event) is (type(event) in (Finished, Failed))
