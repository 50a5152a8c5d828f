"""What Anthropic's events mean. Whole answers are in tests/recordings/messages."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from contract.messages import Event, Finished, Usage, Verbatim
from worker.messages.blocks import MAX_BLOCKS
from worker.messages.reader import MessagesReader
from worker.poe.faults import FaultKind
from worker.poe.sse import ServerSentEvent


def event(kind: str, **fields: Any) -> ServerSentEvent:
    return ServerSentEvent(kind, msgspec.json.encode({"type": kind, **fields}))


def begin(index: object = 0, kind: object = "text", **fields: Any) -> ServerSentEvent:
    return event("content_block_start", index=index, content_block={"type": kind, **fields})


def delta(text: object, index: object = 0, kind: object = "text_delta") -> ServerSentEvent:
    field = {"input_json_delta": "partial_json"}.get(str(kind), "text")
    return event("content_block_delta", index=index, delta={"type": kind, field: text})


def stop(index: int = 0) -> ServerSentEvent:
    return event("content_block_stop", index=index)


def end(reason: object = "end_turn", **usage: int) -> ServerSentEvent:
    return event("message_delta", delta={"stop_reason": reason}, usage=usage)


START = event("message_start", message={"usage": {"input_tokens": 5, "output_tokens": 1}})
CALL = begin(kind="tool_use", id="t", name="f", input={})
LAST = event("message_stop")
PING = ServerSentEvent("ping", b'{"type": "ping"}')


def read(*events: ServerSentEvent, stream: MessagesReader | None = None) -> list[Event]:
    stream = stream or MessagesReader()
    out: list[Event] = []
    for each in events:
        out += stream.feed([each])
    out += stream.end() if not stream.is_over else []
    assert stream.finished is (stream.fault is None)
    return out


def fault(*events: ServerSentEvent) -> FaultKind:
    stream = MessagesReader()
    read(*events, stream=stream)
    assert stream.fault is not None
    return stream.fault.kind


def kinds(events: list[Event]) -> list[str]:
    return [each.name for each in events if isinstance(each, Verbatim)]


def test_nothing_is_told_before_there_is_something_of_an_answer() -> None:
    stream = MessagesReader()

    assert stream.feed([START, PING, begin()]) == []
    assert not stream.begun
    told = stream.feed([delta("A")])

    assert kinds(told) == ["message_start", "content_block_start", "content_block_delta"]
    assert stream.begun


@pytest.mark.parametrize("kind", ["text", "thinking"])
def test_words_that_are_none_are_held_back(kind: str) -> None:
    stream = MessagesReader()

    assert stream.feed([START, begin(kind=kind), delta("", kind=f"{kind}_delta")]) == []
    assert not stream.begun


@pytest.mark.parametrize(
    ("first", "holds"),
    [
        pytest.param(delta("A"), "text", id="text"),
        pytest.param(delta("", kind="signature_delta"), "", id="a signature"),
        pytest.param(delta("", kind="of_2099"), "", id="a new kind"),
    ],
)
def test_it_is_told_what_of_the_answer_an_event_holds(first: ServerSentEvent, holds: str) -> None:
    told = read(START, begin(), first, stop(), end(), LAST)

    assert [each.holds for each in told if isinstance(each, Verbatim)][2] == holds


def test_a_call_is_something_of_an_answer() -> None:
    stream = MessagesReader()

    told = stream.feed([START, CALL])

    assert [each.holds for each in told if isinstance(each, Verbatim)] == ["", "call"]


def test_an_answer_may_be_empty() -> None:
    told = read(START, end(output_tokens=2), LAST)

    assert kinds(told) == ["message_start", "message_delta", "message_stop"]
    assert told[3:] == [Usage(5, 2), Finished("stop")]


def test_tokens_read_from_a_cache_count() -> None:
    usage = {"input_tokens": 1, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 300}

    told = read(event("message_start", message={"usage": usage}), end(output_tokens=2), LAST)

    assert told[-2] == Usage(321, 2, cached_tokens=20, written_tokens=300)


@pytest.mark.parametrize(
    ("reason", "meaning"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("refusal", "content_filter"),
        ("tool_use", "tool_calls"),
        ("of_2099", "stop"),
    ],
)
def test_a_stop_reason_has_a_meaning(reason: str, meaning: str) -> None:
    told = read(START, begin(), delta("A"), stop(), end(reason), LAST)

    assert told[-1] == Finished(meaning)  # type: ignore[arg-type]


def test_an_end_without_a_reason_is_given_one() -> None:
    told = read(START, CALL, LAST)

    assert kinds(told)[2:] == ["content_block_stop", "message_delta", "message_stop"]
    assert '"stop_reason":"tool_use"' in str(told[3])
    assert kinds(read(START, LAST)) == ["message_start", "message_delta", "message_stop"]
    assert told[-1] == Finished("tool_calls")


def test_a_block_behind_the_stop_reason_is_closed_too() -> None:
    told = read(START, end("tool_use"), CALL, delta("{}", kind="input_json_delta"), LAST)

    assert kinds(told)[-2:] == ["content_block_stop", "message_stop"]


def test_a_search_by_the_model_is_no_call_of_the_client_s() -> None:
    told = read(START, begin(kind="server_tool_use", input={}), stop(), LAST)

    assert '"stop_reason":"end_turn"' in str(told[-4])
    assert told[-1] == Finished("stop")


def test_events_are_known_by_their_data_where_their_names_are_missing() -> None:
    named = [START, begin(), delta("A"), stop(), end(), LAST]

    told = read(*(ServerSentEvent("message", each.data) for each in named))

    assert told == read(*named)


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([begin()], id="a block before the beginning"),
        pytest.param([delta("A")], id="a delta before the beginning"),
        pytest.param([end()], id="an end before the beginning"),
        pytest.param([LAST], id="nothing but the end"),
        pytest.param([START, delta("A")], id="a delta of no block"),
        pytest.param([START, begin(), delta("A", 1)], id="a delta of another block"),
        pytest.param([START, begin(), stop(), delta("A")], id="a delta behind its block"),
        pytest.param([START, begin(), stop(), begin()], id="an index twice"),
        pytest.param([START, begin("0")], id="an index that is a string"),
        pytest.param([START, begin(-1)], id="an index below 0"),
        pytest.param([START, begin(True)], id="an index that is a boolean"),
        pytest.param([START, begin(0, 5)], id="a block without a type"),
        pytest.param([START, CALL, delta({"a": 1}, kind="input_json_delta")], id="an object"),
        pytest.param([START, CALL, delta(None, kind="input_json_delta")], id="no arguments"),
        pytest.param([START, CALL, delta("{}{}", kind="input_json_delta")], id="two objects"),
        pytest.param([START, CALL, delta(" [1]", kind="input_json_delta")], id="a list"),
        pytest.param([START, CALL, delta("5", kind="input_json_delta"), end("tool_use")], id="5"),
        pytest.param(
            [START, begin(kind="tool_use", input={"a": 1}), delta("{}", kind="input_json_delta")],
            id="arguments twice",
        ),
        pytest.param(
            [START, end("tool_use"), CALL, delta('{"a', kind="input_json_delta")],
            id="a call that breaks off behind the stop reason",
        ),
        pytest.param(
            [START, begin("x", "tool_use"), ServerSentEvent("x", b"5"), end("tool_use")],
            id="a call that was lost",
        ),
        pytest.param(
            [START, ServerSentEvent("content_block_start", b'{"type":"content')],
            id="JSON that breaks off",
        ),
    ],
)
def test_what_does_not_fit_together_fails_the_answer(events: list[ServerSentEvent]) -> None:
    assert fault(*events, LAST) is FaultKind.PROTOCOL


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("overloaded_error", FaultKind.OVERLOADED),
        ("rate_limit_error", FaultKind.RATE_LIMITED),
        ("invalid_request_error", FaultKind.BAD_REQUEST),
        ("authentication_error", FaultKind.BAD_KEY),
        ("permission_error", FaultKind.NOT_ENTITLED),
        ("billing_error", FaultKind.NO_POINTS),
        ("not_found_error", FaultKind.MODEL_NOT_FOUND),
        ("request_too_large", FaultKind.TOO_LONG),
        ("timeout_error", FaultKind.TIMEOUT),
        ("api_error", FaultKind.UPSTREAM_DOWN),
        ("of_2099", FaultKind.UPSTREAM_DOWN),
    ],
)
@pytest.mark.parametrize("name", ["error", "message"])
def test_an_error_ends_the_answer_by_its_type(name: str, error: str, kind: FaultKind) -> None:
    data = msgspec.json.encode({"type": "error", "error": {"type": error, "message": "No."}})

    assert fault(START, ServerSentEvent(name, data), LAST) is kind


def test_an_error_behind_the_stop_reason_changes_nothing() -> None:
    late = event("error", error={"type": "api_error"})

    told = read(START, begin(), delta("A"), stop(), end(), late)

    assert kinds(told)[-1] == "message_stop"
    assert told[-1] == Finished("stop")


def test_silence_after_the_beginning_is_a_cut() -> None:
    assert fault(START, begin(), delta("A"), stop()) is FaultKind.CUT
    assert fault() is FaultKind.CUT


def test_an_answer_has_bounds() -> None:
    blocks = [begin(number) for number in range(MAX_BLOCKS + 1)]

    assert fault(START, *blocks) is FaultKind.PROTOCOL
    stream = MessagesReader(max_size=1000)
    read(START, begin(), *[delta("A" * 100)] * 9, stream=stream)
    assert stream.fault is not None
    assert stream.fault.kind is FaultKind.PROTOCOL


def test_data_on_several_lines_passes_on_one() -> None:
    odd = ServerSentEvent("of_2099", b'{"type":\n"of_2099",\n"text":"a\\nb"}')

    told = read(START, odd, end(), LAST)

    assert told[1] == Verbatim("of_2099", '{"type": "of_2099", "text":"a\\nb"}')


def test_what_is_not_utf8_passes_mended() -> None:
    odd = ServerSentEvent("of_2099", b'{"type":"of_2099","text":"a\xff"}')

    told = read(START, odd, end(), LAST)

    assert told[1] == Verbatim("of_2099", '{"type":"of_2099","text":"a\ufffd"}')
