"""What the events of a response mean."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import (
    Event,
    Finished,
    FinishReason,
    Reasoning,
    Refusal,
    Text,
    ToolCallDelta,
    Usage,
)
from worker.poe.faults import FaultKind
from worker.poe.sse import ServerSentEvent
from worker.poe.tool_calls import MAX_TOOL_CALLS
from worker.responses.reader import ResponsesReader

DONE = ServerSentEvent("message", b"[DONE]")
COUNTS = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 20},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 35,
}
COUNTED = Usage(30, 5, 20, 4)


def raw(kind: str, data: bytes) -> ServerSentEvent:
    return ServerSentEvent(f"response.{kind}", data)


def event(kind: str, **fields: Any) -> ServerSentEvent:
    data = {"type": f"response.{kind}", "sequence_number": 0, **fields}
    return raw(kind, msgspec.json.encode(data))


def text(words: str, **fields: Any) -> ServerSentEvent:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return event("output_text.delta", delta=words, **place | fields)


def completed(*output: dict[str, Any], **fields: Any) -> ServerSentEvent:
    return event("completed", response={"status": "completed", "output": output, **fields})


def called(index: int | None, name: str = "look", **fields: Any) -> ServerSentEvent:
    own = {"type": "function_call", "id": f"fc_{index}", "call_id": f"c{index}", "name": name}
    place = {} if index is None else {"output_index": index}
    return event("output_item.added", item=own | {"arguments": ""} | fields, **place)


def argued(index: int | None, words: str, **fields: Any) -> ServerSentEvent:
    place = {"item_id": f"fc_{index}"} | ({} if index is None else {"output_index": index})
    return event("function_call_arguments.delta", delta=words, **place | fields)


def message(*texts: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": each, "annotations": []} for each in texts]
    return {"type": "message", "id": "msg_1", "role": "assistant", "content": content}


def call(number: int, arguments: Any = "{}", name: str = "look") -> dict[str, Any]:
    own = {"id": f"fc_{number}", "call_id": f"c{number}", "name": name}
    return {"type": "function_call", **own, "arguments": arguments}


def read(*events: ServerSentEvent, stream: ResponsesReader | None = None) -> list[Event]:
    stream = stream or ResponsesReader()
    out: list[Event] = []
    for each in events:
        out += stream.feed([each])
    out += stream.end() if not stream.is_over else []
    assert stream.finished is (stream.fault is None)
    return out


def fault(*events: ServerSentEvent, stream: ResponsesReader | None = None) -> FaultKind:
    stream = stream or ResponsesReader()
    read(*events, stream=stream)
    assert stream.fault is not None
    return stream.fault.kind


def calls_of(events: list[Event]) -> list[tuple[str, str, str]]:
    """Return id, name and arguments of each call, whose numbers must be dense."""
    calls: list[list[str]] = []
    for delta in events:
        if isinstance(delta, ToolCallDelta):
            if delta.index == len(calls):
                calls.append(["", "", ""])
            assert delta.index == len(calls) - 1
            for at, more in enumerate((delta.id, delta.name, delta.arguments)):
                calls[-1][at] += more
    return [(a, b, c) for a, b, c in calls]


def test_an_answer_is_its_deltas_and_its_counts() -> None:
    assert read(
        event("created", response={"status": "in_progress"}),
        event("in_progress", response={"status": "in_progress"}),
        event("output_item.added", output_index=0, item={"type": "message", "content": []}),
        event("content_part.added", part={"type": "output_text", "text": ""}),
        text("Hel"),
        text("lo"),
        event("output_text.done", text="Hello", output_index=0),
        event("content_part.done", part={"type": "output_text", "text": "Hello"}),
        event("output_item.done", output_index=0, item=message("Hello")),
        completed(message("Hello"), usage=COUNTS),
        DONE,
    ) == [Text("Hel"), Text("lo"), COUNTED, Finished()]


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([event("output_text.done", text="Hello")], id="a part"),
        pytest.param([event("output_item.done", item=message("Hel", "lo"))], id="an item"),
        pytest.param([], id="the response"),
        pytest.param(
            [event("output_text.done", text="Hello"), event("output_item.done", item=message("x"))],
            id="all of them",
        ),
    ],
)
def test_text_without_deltas_is_taken_from_what_repeats_it(events: list[ServerSentEvent]) -> None:
    out = read(*events, completed(message("Hel", "lo"), usage=COUNTS))

    assert "".join(e.text for e in out if isinstance(e, Text)) == "Hello"
    assert out[-2:] == [COUNTED, Finished()]


def test_a_text_beside_the_output_counts_where_nothing_else_does() -> None:
    assert read(completed(output_text="Hi")) == [Text("Hi"), Finished()]
    assert read(completed(message("Hi"), output_text="Hi")) == [Text("Hi"), Finished()]


@pytest.mark.parametrize("name", ["message", "response.output_text.delta", "anything"])
def test_the_type_within_the_data_says_more_than_the_name_of_the_event(name: str) -> None:
    delta = ServerSentEvent(name, b'{"type":"response.output_text.delta","delta":"Hi"}')

    assert read(delta, completed()) == [Text("Hi"), Finished()]


def test_an_event_without_a_type_is_of_its_name() -> None:
    assert read(raw("output_text.delta", b'{"delta":"Hi"}'), completed()) == [
        Text("Hi"),
        Finished(),
    ]


def test_halves_of_a_character_are_joined() -> None:
    halves = [raw("output_text.delta", b'{"delta":"\\ud83d"}'), text("x")]
    whole = [
        raw("output_text.delta", b'{"type":"response.output_text.delta","delta":"a\\ud83d"}'),
        raw("output_text.delta", b'{"type":"response.output_text.delta","delta":"\\ude00b"}'),
    ]

    assert read(*whole, completed()) == [Text("a"), Text("😀b"), Finished()]
    assert read(*halves, completed()) == [Text("\ufffdx"), Finished()]
    assert read(halves[0], completed()) == [Text("\ufffd"), Finished()]


@pytest.mark.parametrize("kind", ["reasoning_summary_text", "reasoning_text"])
def test_thoughts_come_apart_and_their_parts_as_paragraphs(kind: str) -> None:
    thoughts = [
        event(f"{kind}.delta", output_index=0, summary_index=0, delta="One"),
        event(f"{kind}.done", output_index=0, summary_index=0, text="One"),
        event(f"{kind}.delta", output_index=0, summary_index=1, delta="T"),
        event(f"{kind}.delta", output_index=0, summary_index=1, delta="wo"),
    ]

    out = read(*thoughts, text("Hi"), completed())

    assert "".join(e.text for e in out if isinstance(e, Reasoning)) == "One\n\nTwo"
    assert out[-2:] == [Text("Hi"), Finished()]


def test_raw_thoughts_and_their_summary_are_not_told_both() -> None:
    item = {
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "In short"}],
        "content": [{"type": "reasoning_text", "text": "At length"}],
    }

    out = read(
        event("reasoning_text.delta", delta="At length"),
        event("reasoning_summary_text.delta", delta="In short"),
        event("output_item.done", item=item),
        completed(item, message("Hi")),
    )

    assert out == [Reasoning("At length"), Text("Hi"), Finished()]


def test_a_refusal_is_told_as_one() -> None:
    item = {"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}

    assert read(event("refusal.delta", delta="No."), completed(item)) == [
        Refusal("No."),
        Finished(),
    ]
    assert read(completed(item)) == [Refusal("No."), Finished()]


# Calls.


def test_calls_are_numbered_from_0_and_told_one_after_the_other() -> None:
    out = read(
        event("output_item.added", output_index=0, item={"type": "reasoning", "summary": []}),
        called(1),
        called(2, "wait"),
        argued(2, '{"s'),
        argued(1, '{"at":'),
        argued(1, '"}"}'),
        argued(2, '":1}'),
        event("function_call_arguments.done", item_id="fc_1", arguments='{"at":"}"}'),
        event("output_item.done", output_index=1, item=call(1, '{"at": "}"}')),
        completed(call(1, '{"at":"}"}'), call(2, '{"s":1}', "wait")),
    )

    assert calls_of(out) == [("c1", "look", '{"at":"}"}'), ("c2", "wait", '{"s":1}')]
    assert out[-1] == Finished("tool_calls")


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([called(0), argued(0, '{"a":1}')], id="deltas"),
        pytest.param([called(0, arguments='{"a":1}')], id="whole in the item that is added"),
        pytest.param([called(0, arguments={"a": 1})], id="an object"),
        pytest.param(
            [called(0), event("function_call_arguments.done", item_id="fc_0", arguments='{"a":1}')],
            id="whole at the end",
        ),
        pytest.param(
            [called(0), event("output_item.done", item=call(0, '{"a":1}'), output_index=0)],
            id="whole in the item that is done",
        ),
        pytest.param(
            [event("output_item.done", item=call(0, '{"a":1}'), output_index=0)],
            id="an item that was never added",
        ),
        pytest.param([], id="the response alone"),
        pytest.param([called(None, call_id="c0"), argued(None, '{"a":1}')], id="no index"),
        pytest.param(
            [called(0), argued(0, '{"a":1}', item_id="another")], id="ids that change, and an index"
        ),
        pytest.param(
            [
                called(0),
                argued(0, '{"a":'),
                argued(0, "1}"),
                event("output_item.done", item=call(0, '{ "a" : 1 }'), output_index=0),
            ],
            id="written otherwise at the end",
        ),
    ],
)
def test_a_call_is_read_wherever_it_is_told(events: list[ServerSentEvent]) -> None:
    out = read(*events, completed(call(0, '{"a":1}')))

    assert calls_of(out) == [("c0", "look", '{"a":1}')]
    assert out[-1] == Finished("tool_calls")


def test_calls_of_one_index_are_told_apart_by_their_items() -> None:
    out = read(
        called(0, output_index=0),
        argued(0, '{"a":1}'),
        event(
            "output_item.added",
            output_index=0,
            item={"type": "function_call", "id": "fc_9", "call_id": "c9", "name": "look"},
        ),
        event("function_call_arguments.delta", item_id="fc_9", output_index=0, delta='{"a":2}'),
        completed(),
    )

    assert calls_of(out) == [("c0", "look", '{"a":1}'), ("c9", "look", '{"a":2}')]


def test_calls_of_one_id_are_told_apart_by_their_indexes() -> None:
    out = read(
        called(0, id="fc"),
        called(1, "wait", id="fc"),
        argued(1, '{"b":', item_id="fc"),
        argued(0, '{"a":1}', item_id="fc"),
        argued(1, "2}", item_id="fc"),
        completed(),
    )

    assert calls_of(out) == [("c0", "look", '{"a":1}'), ("c1", "wait", '{"b":2}')]


def test_calls_of_one_index_may_go_on_after_another_has_begun() -> None:
    out = read(
        called(0),
        event("output_item.added", output_index=0, item=call(9, "", "wait")),
        argued(0, '{"a":'),
        event("function_call_arguments.delta", item_id="fc_9", output_index=0, delta='{"b":2}'),
        argued(0, "1}"),
        completed(),
    )

    assert calls_of(out) == [("c0", "look", '{"a":1}'), ("c9", "wait", '{"b":2}')]


def test_calls_that_nothing_tells_apart_come_one_after_the_other() -> None:
    def bare(name: str) -> ServerSentEvent:
        return event("output_item.added", item={"type": "function_call", "name": name})

    out = read(
        bare("look"),
        event("function_call_arguments.delta", delta='{"a":1}'),
        event("function_call_arguments.done", arguments='{"a": 1}'),
        bare("wait"),
        event("function_call_arguments.done", arguments='{"b":2}'),
        completed(),
    )

    assert calls_of(out) == [("", "look", '{"a":1}'), ("", "wait", '{"b":2}')]


def test_items_that_were_never_added_are_each_a_call() -> None:
    items = [call(1, '{"a":1}'), call(2, '{"b":2}')]

    out = read(*(event("output_item.done", item=each) for each in items), completed(*items))

    assert calls_of(out) == [("c1", "look", '{"a":1}'), ("c2", "look", '{"b":2}')]


def test_a_call_that_begins_twice_is_one() -> None:
    out = read(called(0), called(0), argued(0, "{}"), called(0), completed(call(0)))

    assert calls_of(out) == [("c0", "look", "{}")]


def test_calls_of_other_ids_at_the_end_are_no_further_ones() -> None:
    one = event("output_item.added", item={"type": "function_call", "name": "look"})

    assert calls_of(read(one, argued(None, "{}"), completed(call(5)))) == [("", "look", "{}")]
    assert fault(one, argued(None, "{}"), completed(call(5), call(6))) is FaultKind.PROTOCOL


def test_a_call_that_only_the_response_has_is_not_lost() -> None:
    out = read(called(0), argued(0, "{}"), completed(call(0), call(1, '{"b":2}', "wait")))

    assert calls_of(out) == [("c0", "look", "{}"), ("c1", "wait", '{"b":2}')]


def test_a_call_without_arguments_is_whole() -> None:
    assert calls_of(read(called(0), completed())) == [("c0", "look", "")]


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([called(0), argued(0, '{"a":')], id="arguments that never end"),
        pytest.param(
            [called(0), argued(0, '{"a":1}'), argued(0, '{"b":2}')], id="more behind them"
        ),
        pytest.param([argued(0, "{}")], id="arguments of no call"),
        pytest.param([called(0), argued(0, 7)], id="arguments of another type"),  # type: ignore[arg-type]
        pytest.param([called(0, name=None)], id="no name"),  # type: ignore[arg-type]
        pytest.param([called(0), raw("x", b"[")], id="something lost before"),
        pytest.param([called(n) for n in range(MAX_TOOL_CALLS + 1)], id="too many"),
    ],
)
def test_a_call_of_doubt_fails_the_answer(events: list[ServerSentEvent]) -> None:
    assert fault(text("I call"), *events, completed()) is FaultKind.PROTOCOL


def test_a_call_that_was_cut_is_told_as_far_as_it_came() -> None:
    incomplete = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}

    out = read(called(0), argued(0, '{"a":'), event("incomplete", response=incomplete))

    assert calls_of(out) == [("c0", "look", '{"a":')]
    assert out[-1] == Finished("length")


# Ends.


@pytest.mark.parametrize(
    ("details", "reason"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "content_filter"}, "content_filter"),
        ({"reason": "something new"}, "length"),
        (None, "length"),
    ],
)
def test_an_incomplete_response_says_why(details: Any, reason: FinishReason) -> None:
    response = {"status": "incomplete", "incomplete_details": details, "usage": COUNTS}

    out = read(text("Hi"), event("incomplete", response=response))

    assert out == [Text("Hi"), COUNTED, Finished(reason)]


def test_a_response_that_waits_for_results_is_no_cut() -> None:
    out = read(called(0), argued(0, "{}"), event("incomplete", response={"status": "incomplete"}))

    assert out[-1] == Finished("tool_calls")


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        pytest.param({}, FaultKind.UPSTREAM_DOWN, id="no reason"),
        pytest.param({"code": "server_error"}, FaultKind.UPSTREAM_DOWN, id="its own fault"),
        pytest.param({"code": "rate_limit_exceeded"}, FaultKind.RATE_LIMITED, id="a limit"),
        pytest.param({"code": "insufficient_quota"}, FaultKind.NO_POINTS, id="points"),
        pytest.param(
            {"code": "context_length_exceeded", "message": "Too long"},
            FaultKind.TOO_LONG,
            id="too long",
        ),
        pytest.param({"code": "invalid_prompt"}, FaultKind.BAD_REQUEST, id="the prompt"),
        pytest.param({"code": "image_too_large"}, FaultKind.BAD_REQUEST, id="an image"),
        pytest.param(
            {"code": "server_error", "message": "flagged by our usage policy"},
            FaultKind.CONTENT_REFUSED,
            id="the words",
        ),
    ],
)
def test_a_response_that_failed_is_a_fault(end: dict[str, str], kind: FaultKind) -> None:
    failed = {"status": "failed", "error": end or None}
    flat = {"type": "error", "param": None, **end}
    whole = ServerSentEvent("message", msgspec.json.encode(failed))
    named = ServerSentEvent("error", msgspec.json.encode({"error": end}))

    assert fault(text("Hi"), event("failed", response=failed)) is kind
    assert fault(whole) is kind
    assert fault(named) is kind
    assert fault(ServerSentEvent("error", msgspec.json.encode(flat))) is kind
    assert fault(ServerSentEvent("message", msgspec.json.encode(flat))) is kind
    assert fault(completed(status="failed", error=end)) is kind


def test_an_error_behind_the_end_is_not_read() -> None:
    stream = ResponsesReader()

    out = stream.feed([text("Hi"), completed(), event("failed", response={}), DONE])

    assert out == [Text("Hi"), Finished()]
    assert stream.fault is None


def test_done_alone_is_an_end() -> None:
    assert read(text("Hi"), DONE) == [Text("Hi"), Finished()]
    assert read(DONE) == [Finished()]


def test_an_end_that_was_garbled_is_an_end_all_the_same() -> None:
    assert read(text("Hi"), raw("completed", b'{"type":"response.comp')) == [
        Text("Hi"),
        Finished(),
    ]
    assert fault(raw("completed", b'{"type":"response.comp')) is FaultKind.PROTOCOL
    assert fault(called(0), argued(0, "{"), raw("completed", b"")) is FaultKind.PROTOCOL


def test_a_whole_response_is_read_as_its_end() -> None:
    output = [message("Hi"), call(1, '{"a":1}')]
    body = {"object": "response", "status": "completed", "output": output, "usage": COUNTS}

    out = read(ServerSentEvent("message", msgspec.json.encode(body)))

    assert out[0] == Text("Hi")
    assert calls_of(out) == [("c1", "look", '{"a":1}')]
    assert out[-2:] == [COUNTED, Finished("tool_calls")]


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        pytest.param([], FaultKind.CUT, id="nothing"),
        pytest.param([text("Hi")], FaultKind.CUT, id="text"),
        pytest.param([event("output_text.done", text="Hi")], FaultKind.CUT, id="a whole part"),
        pytest.param([event("created", response={})], FaultKind.CUT, id="a beginning"),
        pytest.param([event("fanfare", text="x")], FaultKind.CUT, id="unknown events"),
        pytest.param([ServerSentEvent("message", b"7")], FaultKind.PROTOCOL, id="no objects"),
        pytest.param([ServerSentEvent("message", b"{}")], FaultKind.PROTOCOL, id="no type"),
        pytest.param([raw("output_text.delta", b'{"delta":7}')], FaultKind.PROTOCOL, id="no text"),
        pytest.param([raw("output_text.delta", b'{"delta":"H')], FaultKind.PROTOCOL, id="cut JSON"),
        pytest.param(
            [ServerSentEvent("message", b'{"status":"in_progress"}')],
            FaultKind.PROTOCOL,
            id="waits",
        ),
    ],
)
def test_a_body_that_ends_too_early_is_a_fault(
    events: list[ServerSentEvent], kind: FaultKind
) -> None:
    assert fault(*events) is kind


@pytest.mark.parametrize(
    "odd",
    [
        event("output_text.annotation.added", annotation={}),
        event("web_search_call.searching", output_index=0),
        event("queued", response={}),
        event("output_item.added", item=None),
        event("output_item.done", item=[]),
        event("output_text.delta", delta=None),
        event("output_text.done", text=["x"]),
        ServerSentEvent("message", b""),
        ServerSentEvent("ping", b""),
        ServerSentEvent("message", b"[]"),
        ServerSentEvent("message", b"\xff"),
        ServerSentEvent("message", b'{"type":7}'),
        ServerSentEvent("message", b'{"type":[],"status":[]}'),
        event("output_item.done", item={"type": "message", "content": [{"type": []}]}),
    ],
)
def test_what_is_odd_or_unknown_does_not_fail_an_answer(odd: ServerSentEvent) -> None:
    assert read(text("Hel"), odd, text("lo"), completed()) == [Text("Hel"), Text("lo"), Finished()]


def test_an_answer_has_a_bound() -> None:
    stream = ResponsesReader((), 5)

    assert fault(text("Hel"), text("lo!"), stream=stream) is FaultKind.PROTOCOL


def test_a_response_is_begun_by_its_first_words_or_call() -> None:
    stream = ResponsesReader()

    stream.feed([event("created", response={}), event("output_item.added", item={"type": "x"})])
    assert not stream.begun
    stream.feed([called(0)])

    assert stream.begun


_FIELDS = (
    *("type", "delta", "item", "response", "output", "content", "status", "error", "usage"),
    *("output_index", "item_id", "arguments", "call_id", "name", "text", "summary", "reason"),
)
_KINDS = (
    *("output_item.added", "output_item.done", "completed", "incomplete", "failed"),
    *("output_text.delta", "function_call_arguments.delta", "function_call_arguments.done"),
)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = st.dictionaries(st.sampled_from(_FIELDS), inner, max_size=5)
    return st.lists(inner, max_size=3) | objects


ANY = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), _nested, max_leaves=12)


@given(ANY, st.sampled_from(_KINDS))
def test_nothing_that_is_json_breaks_the_reader(value: Any, kind: str) -> None:
    fields = value if isinstance(value, dict) else {"item": value, "response": value}
    data = msgspec.json.encode({"type": f"response.{kind}", "delta": value} | fields)

    read(text("Hi"), raw(kind, data), called(0), argued(0, "{}"), completed())
