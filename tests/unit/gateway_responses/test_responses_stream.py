"""Responses, streamed and whole: each event held against OpenAI's schema, and all together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contract.messages import (
    Event,
    Failed,
    FailureKind,
    File,
    Finished,
    Options,
    Reasoning,
    Refusal,
    Replaced,
    Started,
    Text,
    ToolCallDelta,
    Usage,
)
from gateway.dialect import Frame
from gateway.responses.stream import ResponseEncoder
from tests.support.openai_schema import assert_is
from tests.support.responses_schema import EVENTS, RESPONSE
from tests.support.responses_wire import built_from, check
from tests.unit.gateway_responses.rendering import (
    INTERRUPTED,
    ask_of,
    decoded,
    frames_of,
    head,
    streamed,
    whole,
)
from tests.unit.test_recordings import RECORDINGS, STREAMS, by_name, expected
from worker.poe.sse import EventDecoder
from worker.shaping import Shaping

ASKED = ask_of()
CALLED = ToolCallDelta(0, "call_1", "look", "")
CAT = File("https://poe.test/cat.png", "cat.png", "image/png", "cat")

PATCH = {"type": "custom", "name": "patch", "format": {"type": "text"}}
SPACE = {
    "type": "namespace",
    "name": "files",
    "description": "",
    "tools": [{"type": "function", "name": "read", "parameters": {"type": "object"}}],
}


def texts(response: dict[str, Any]) -> list[str]:
    return [p["text"] for i in response["output"] if i["type"] == "message" for p in i["content"]]


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([[Text("Hel")], [Text("lo"), Text("!")], [Finished()]], id="text"),
        pytest.param([[Started("w", 1, "b")], [Text("a"), Finished()]], id="one record"),
        pytest.param([[Finished()]], id="nothing"),
        pytest.param([[Text("🙂" * 9_000)], [Finished()]], id="a long text"),
        pytest.param([[Reasoning("hm")], [Text("so"), Finished()]], id="thoughts, then text"),
        pytest.param(
            [[Reasoning("a"), Text("b"), Reasoning("c"), Text("d"), Finished()]], id="by turns"
        ),
        pytest.param([[Reasoning("only"), Finished()]], id="thoughts only"),
        pytest.param([[Refusal("I will not"), Finished()]], id="refusal"),
        pytest.param([[Text("{"), Refusal("no"), Finished()]], id="text, then refusal"),
        pytest.param(
            [[CALLED], [ToolCallDelta(0, arguments="{}")], [Finished("tool_calls")]],
            id="a call",
        ),
        pytest.param([[CALLED, Finished("tool_calls")]], id="a call without arguments"),
        pytest.param(
            [
                [CALLED, ToolCallDelta(1, "", "look", "{"), ToolCallDelta(0, arguments="{}")],
                [Text("and"), ToolCallDelta(1, arguments="}"), Finished()],
            ],
            id="calls interleaved",
        ),
        pytest.param([[Text("![a][cat]")], [CAT, Finished()]], id="a file"),
        pytest.param([[Text("cut")], [Finished("length")]], id="cut off"),
    ],
)
def test_a_stream_adds_up_to_the_response_that_a_whole_answer_is(records: list[Any]) -> None:
    response = check(streamed(records))

    assert_is(response, RESPONSE)
    assert (response["incomplete_details"] is None) is (response["status"] == "completed")
    if CAT not in records[-1]:
        assert whole(records) == response


def test_what_was_taken_back_is_not_in_a_whole_answer() -> None:
    records = [[Text("Thinking...")], [Replaced("Here: ![a][cat]")], [CAT, Text("!"), Finished()]]

    assert texts(whole(records)) == ["Here: ![a](https://poe.test/cat.png)!"]
    assert texts(check(streamed(records)))[0].endswith("https://poe.test/cat.png)")


def test_a_call_of_a_custom_tool_has_its_input_and_one_of_a_namespace_its_own_name() -> None:
    ask = ask_of(tools=[PATCH, SPACE])
    records = [
        [ToolCallDelta(0, "call_1", "patch", '{"input": "*** Begin')],
        [ToolCallDelta(0, arguments='\\n*** End"}'), ToolCallDelta(1, "call_2", "files__read")],
        [Finished("tool_calls")],
    ]

    patch, read = check(streamed(records, ask))["output"]

    assert (patch["type"], patch["name"]) == ("custom_tool_call", "patch")
    assert patch["input"] == "*** Begin\n*** End"
    assert (read["type"], read["namespace"], read["name"]) == ("function_call", "files", "read")
    assert read["arguments"] == "{}"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ('{"input": "*** Begin', "*** Begin"),
        ('{"input": "a\\', "a"),
        ('{"input": "a\\n', "a\n"),
        ('{"input": "a\\u00e', "a"),
        ('{"input": "', ""),
        ('{"inp', '{"inp'),
    ],
)
def test_the_input_of_a_custom_tool_that_was_cut_off_is_as_much_as_has_come(
    given: str, told: str
) -> None:
    records = [[ToolCallDelta(0, "call_1", "patch", given), Finished("length")]]

    (call,) = check(streamed(records, ask_of(tools=[PATCH])))["output"]

    assert (call["status"], call["input"]) == ("incomplete", told)


def test_thoughts_that_follow_a_text_begin_with_words() -> None:
    records = [[Reasoning("one\n\ntwo"), Text("hi"), Reasoning("\n\nthree"), Finished()]]

    first, _, second = check(streamed(records))["output"]

    assert first["summary"][0]["text"] == "one\n\ntwo"
    assert second["summary"][0]["text"] == "three"


@pytest.mark.parametrize("given", ["*** Begin", '{"patch": "x"}', "[" * 9_000, '"text"'])
def test_what_a_model_gives_a_custom_tool_without_its_json_is_the_input(given: str) -> None:
    records = [[ToolCallDelta(0, "call_1", "patch", given), Finished("tool_calls")]]

    (call,) = check(streamed(records, ask_of(tools=[PATCH])))["output"]

    assert call["input"] == given


@pytest.mark.parametrize(
    "records",
    [
        pytest.param([], id="before the first event"),
        pytest.param([[Started("w", 1, "b"), INTERRUPTED]], id="before any output"),
        pytest.param([[Reasoning("hm"), Text("Hel")], [INTERRUPTED]], id="within the text"),
        pytest.param([[CALLED], [INTERRUPTED]], id="within a call"),
    ],
)
def test_a_failure_ends_in_one_failed_response_with_what_there_is(records: list[Any]) -> None:
    response = check(streamed(records, failed=INTERRUPTED))

    assert response["error"] == {"code": "server_error", "message": "The worker died."}
    assert all(item["status"] != "in_progress" for item in response["output"])


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (FailureKind.CONTEXT_TOO_LONG, "context_length_exceeded"),
        (FailureKind.NO_POINTS, "insufficient_quota"),
        (FailureKind.RATE_LIMITED, "rate_limit_exceeded"),
        (FailureKind.CONTENT_REFUSED, "invalid_prompt"),
        (FailureKind.UPSTREAM_FAILED, "server_error"),
    ],
)
def test_a_failure_has_a_code_by_which_agents_know_whether_to_go_on(
    kind: FailureKind, code: str
) -> None:
    failed = Failed(kind, "why")

    error = check(streamed([[failed]], failed=failed))["error"]

    assert error["code"] == code
    assert "why" in error["message"]


@pytest.mark.parametrize(
    ("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
def test_an_answer_that_was_cut_is_incomplete(reason: Any, why: str) -> None:
    response = check(streamed([[Text("a")], [Finished(reason)]]))

    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": why}
    assert response["output"][0]["status"] == "incomplete"


def test_the_usage_is_the_upstreams_or_says_that_it_is_estimated() -> None:
    told = check(streamed([[Reasoning("a" * 40), Text("b"), Usage(11, 9)], [Finished()]]))["usage"]
    guessed = check(streamed([[Text("b")], [Finished()]]))["usage"]

    assert (told["input_tokens"], told["output_tokens"], told["total_tokens"]) == (11, 9, 20)
    assert 0 < told["output_tokens_details"]["reasoning_tokens"] <= 9
    assert "estimated" not in told
    assert (guessed["input_tokens"], guessed["estimated"]) == (7, True)


@pytest.mark.parametrize(
    ("mode", "text", "items"),
    [
        ("separate", "so", ["reasoning", "message"]),
        ("inline", "<think>\nhm\n</think>\n\nso", ["message"]),
        ("drop", "so", ["message"]),
    ],
)
def test_thoughts_are_where_the_operator_wants_them(mode: Any, text: str, items: list[str]) -> None:
    records = [[Reasoning("hm")], [Text("so")], [Finished()]]

    response = check(streamed(records, reasoning=mode))

    assert texts(response) == [text]
    assert [item["type"] for item in response["output"]] == items


@pytest.mark.parametrize("recording", [by_name(each) for each in RECORDINGS])
def test_a_recording_makes_a_sound_stream_wherever_the_network_cuts_it(recording: Path) -> None:
    body, wanted = recording.read_bytes(), expected(recording)
    bytes_alone = [body[place : place + 1] for place in range(len(body))]

    response = check(decoded(_replayed(recording, [body], thinks=wanted.thinks)))
    alone = check(decoded(_replayed(recording, bytes_alone, thinks=wanted.thinks)))
    halves = [[body[:place], body[place:]] for place in range(1, len(body))]
    cut = [decoded(_replayed(recording, half, thinks=wanted.thinks)[-1:]) for half in halves]

    assert all(
        each["output"] == response["output"] for each in [alone, *(c[0]["response"] for c in cut)]
    )
    assert (response["status"] == "failed") is (wanted.fault is not None)
    calls = [i for i in response["output"] if i["type"] == "function_call"]
    assert [(c["name"], c["arguments"]) for c in calls] == [
        (name, arguments or "{}") for _, name, arguments in wanted.tool_calls
    ]


def _replayed(recording: Path, pieces: list[bytes], *, thinks: bool) -> list[Frame]:
    decoder, reader = EventDecoder(), STREAMS[recording.parent.name]()
    shaping = Shaping(Options(), emulate_tools=False, thinks=thinks)
    records: list[list[Event]] = [
        list(shaping.feed(reader.feed(decoder.feed(piece)))) for piece in pieces
    ]
    records.append(list(shaping.feed(reader.feed(decoder.close()))))
    if not reader.is_over:
        records.append(list(shaping.feed(reader.end())))
    failed = None
    if reader.fault is not None:
        failed = Failed(FailureKind.UPSTREAM_FAILED, "why")
        records.append([*shaping.flush(), failed])
    return frames_of(records, ASKED, failed=failed)


def test_an_event_that_keeps_clients_patient_is_the_response_as_it_is() -> None:
    ask = ask_of(tools=[PATCH])
    records: list[list[Event]] = [
        [Reasoning("hm")],
        [Text("Hel")],
        [Text("lo"), ToolCallDelta(0, "call_1", "weather", '{"ci')],
        [ToolCallDelta(0, "", "", 'ty": 1}'), ToolCallDelta(1, "call_2", "patch", '{"in')],
        [ToolCallDelta(1, "", "", 'put": "x"}')],
        [Finished("tool_calls")],
    ]
    encoder = ResponseEncoder(head(), ask)
    frames = encoder.begin()

    for record in records:
        (still,) = decoded(encoder.still())
        assert_is(still, EVENTS["response.in_progress"])
        events = decoded(frames)
        assert still["sequence_number"] == events[-1]["sequence_number"]
        assert still["response"]["output"] == built_from(events, whole=False)
        frames += encoder.feed(0, record)

    assert decoded(frames + encoder.end(None)) == streamed(records, ask)
