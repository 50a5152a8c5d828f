"""What the chunks of a chat completion mean."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract.messages import Event, Finished, Reasoning, Text, ToolCallDelta, Usage
from worker.openai.reader import ChatReader
from worker.poe.faults import FaultKind
from worker.poe.sse import ServerSentEvent
from worker.poe.tool_calls import MAX_TOOL_CALLS

DONE = ServerSentEvent("message", b"[DONE]")
COUNTS = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}


def data(value: object, name: str = "message") -> ServerSentEvent:
    return ServerSentEvent(name, msgspec.json.encode(value))


def delta(finish: str | None = None, **fields: Any) -> ServerSentEvent:
    return data({"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]})


def read(*events: ServerSentEvent, stream: ChatReader | None = None) -> list[Event]:
    stream = stream or ChatReader()
    out: list[Event] = []
    for event in events:
        out += stream.feed([event])
    out += stream.end() if not stream.is_over else []
    assert stream.finished is (stream.fault is None)
    return out


def fault(*events: ServerSentEvent, stream: ChatReader | None = None) -> FaultKind:
    stream = stream or ChatReader()
    read(*events, stream=stream)
    assert stream.fault is not None
    return stream.fault.kind


def test_an_answer_is_its_deltas_its_counts_and_its_reason() -> None:
    assert read(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(content="lo"),
        delta("length"),
        data({"choices": [], "usage": COUNTS}),
        DONE,
    ) == [Text("Hel"), Text("lo"), Usage(3, 5), Finished("length")]


def test_the_last_delta_may_come_with_the_reason_and_the_counts() -> None:
    chunk = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}], "usage": COUNTS}

    assert read(data(chunk), DONE) == [Text("Hi"), Usage(3, 5), Finished()]


def test_counts_that_come_with_each_chunk_are_told_once() -> None:
    growing = [{"prompt_tokens": 3, "completion_tokens": n} for n in (1, 2)]
    chunks = [data({"choices": [{"delta": {"content": "x"}}], "usage": u}) for u in growing]

    assert read(*chunks, DONE) == [Text("x"), Text("x"), Usage(3, 2), Finished()]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_are_told_apart(field: str) -> None:
    assert read(delta(**{field: "Hmm. "}), delta(content="Yes."), delta("stop"), DONE) == [
        Reasoning("Hmm. "),
        Text("Yes."),
        Finished(),
    ]


def test_an_index_may_be_missing_and_other_choices_do_not_count() -> None:
    assert read(
        data({"choices": [{"delta": {"content": "A"}}]}),
        data({"choices": [{"index": 1, "delta": {"content": "B"}}]}),
        delta("stop"),
        DONE,
    ) == [Text("A"), Finished()]


def test_what_is_no_delta_is_passed_over() -> None:
    assert read(
        ServerSentEvent("message", b""),
        data({}, name="ping"),
        data({"choices": None, "error": None}),
        data([1, 2]),
        delta("stop", content="Hi"),
        DONE,
    ) == [Text("Hi"), Finished()]


def test_a_tool_call_is_named_by_its_first_fragment_only() -> None:
    def call(index: int | None, arguments: str | None, **more: Any) -> ServerSentEvent:
        position = {} if index is None else {"index": index}
        function = {"name": more.pop("name", None), "arguments": arguments}
        return delta(tool_calls=[{**position, **more, "function": function}])

    assert read(
        call(0, "", id="c1", name="look"),
        call(0, '{"at":', id=None),
        call(None, " 1}", id="c1", name="look"),
        call(1, "{}", id="c2", name="wait"),
        delta("tool_calls"),
        DONE,
    ) == [
        ToolCallDelta(0, "c1", "look", ""),
        ToolCallDelta(0, "", "", '{"at":'),
        ToolCallDelta(0, "", "", " 1}"),
        ToolCallDelta(1, "c2", "wait", "{}"),
        Finished("tool_calls"),
    ]


@pytest.mark.parametrize("reason", [None, "stop", "function_call", "novelty"])
def test_an_answer_with_tool_calls_ends_with_them(reason: str | None) -> None:
    call = {"index": 0, "id": "c", "function": {"name": "look", "arguments": "{}"}}

    events = read(delta(reason, tool_calls=[call]), DONE)

    assert events[-1] == Finished("tool_calls")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "type": "rate_limit_error", "message": "x"}, FaultKind.RATE_LIMITED),
        ({"code": "overloaded_error", "type": "api", "message": "x"}, FaultKind.OVERLOADED),
        ("Internal server error", FaultKind.UPSTREAM_DOWN),
    ],
)
def test_an_error_ends_the_answer_and_what_came_before_is_kept(
    error: object, kind: FaultKind
) -> None:
    stream = ChatReader()

    events = stream.feed([delta(content="Well, "), data({"error": error}), delta(content="no")])

    assert events == [Text("Well, ")]
    assert stream.fault is not None
    assert stream.fault.kind is kind


def test_an_error_may_be_an_event_of_that_name() -> None:
    assert fault(data({"type": "overloaded_error"}, name="error")) is FaultKind.OVERLOADED


def test_an_end_without_a_reason_and_without_the_mark_is_a_cut() -> None:
    assert fault(delta(content="Hi")) is FaultKind.CUT
    assert fault() is FaultKind.CUT


def test_an_end_behind_the_reason_needs_no_mark() -> None:
    assert read(delta("stop", content="Hi")) == [Text("Hi"), Finished()]


def test_a_mark_needs_no_reason() -> None:
    assert read(delta(content="Hi"), DONE) == [Text("Hi"), Finished()]


def test_nothing_behind_the_mark_counts() -> None:
    assert read(delta("stop", content="Hi"), DONE, delta(content="more"), DONE) == [
        Text("Hi"),
        Finished(),
    ]


@pytest.mark.parametrize("reason", ["stop", "length", "content_filter"])
def test_an_answer_of_nothing_that_ends_properly_is_an_answer(reason: Any) -> None:
    assert read(delta(reason, content=""), DONE) == [Finished(reason)]
    assert read(delta(reason)) == [Finished(reason)]


def test_an_answer_of_nothing_may_end_by_the_mark_alone() -> None:
    assert read(delta(content=""), DONE) == [Finished()]


def test_an_answer_of_nothing_without_a_proper_end_is_a_fault() -> None:
    assert fault(delta(content="")) is FaultKind.CUT


@pytest.mark.parametrize("nonsense", [b"{", b"\xff", b'{"a": ' * 5000])
def test_what_is_no_json_is_a_fault(nonsense: bytes) -> None:
    assert fault(ServerSentEvent("message", nonsense)) is FaultKind.PROTOCOL


@pytest.mark.parametrize("field", ["content", "reasoning"])
def test_an_answer_without_end_is_a_fault(field: str) -> None:
    endless = [delta(**{field: "x" * 10})] * 11

    assert fault(*endless, stream=ChatReader(max_size=100)) is FaultKind.PROTOCOL


def test_tool_calls_without_end_are_a_fault() -> None:
    calls = [{"index": n, "function": {"name": "f"}} for n in range(MAX_TOOL_CALLS + 1)]

    assert fault(delta(tool_calls=calls)) is FaultKind.PROTOCOL


def test_a_whole_answer_is_read_as_one_chunk() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Hi", "reasoning": "Hm", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}

    assert read(data({"choices": [choice], "usage": COUNTS})) == [
        Reasoning("Hm"),
        Text("Hi"),
        ToolCallDelta(0, "c1", "look", "{}"),
        Usage(3, 5),
        Finished("tool_calls"),
    ]


def test_calls_without_an_index_in_chunks_of_their_own_are_several() -> None:
    def chunk(identifier: str, name: str, arguments: str) -> ServerSentEvent:
        function = {"name": name, "arguments": arguments}
        return delta(tool_calls=[{"id": identifier, "function": function}])

    assert read(chunk("a", "look", "{}"), chunk("b", "go", "{"), chunk("", "", "}"), DONE) == [
        ToolCallDelta(0, "a", "look", "{}"),
        ToolCallDelta(1, "b", "go", "{"),
        ToolCallDelta(1, arguments="}"),
        Finished("tool_calls"),
    ]


def test_a_new_id_with_every_fragment_is_no_new_call() -> None:
    def chunk(identifier: str, arguments: str, **name: str) -> ServerSentEvent:
        function = name | {"arguments": arguments}
        return delta(tool_calls=[{"index": 0, "id": identifier, "function": function}])

    assert read(chunk("a", "{", name="look"), chunk("b", "}"), DONE) == [
        ToolCallDelta(0, "a", "look", "{"),
        ToolCallDelta(0, arguments="}"),
        Finished("tool_calls"),
    ]


def test_an_error_behind_the_reason_does_not_undo_the_answer() -> None:
    error = data({"error": {"message": "no usage today", "type": "provider_error", "code": 500}})

    assert read(delta(content="Hi"), delta("stop"), error) == [Text("Hi"), Finished()]
    assert fault(delta("stop"), error) is FaultKind.UPSTREAM_DOWN
