"""Responses that are kept: what is asked of them, and what they are shown and continued as."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.calls.kept import Turn
from contract.messages import (
    Failed,
    FailureKind,
    Finished,
    Job,
    Message,
    Reasoning,
    Started,
    Text,
    ToolCall,
    ToolCallDelta,
)
from gateway.dialect import Wanted
from gateway.exchange import heads
from gateway.exchange.bodies import digest_of, framed, parse_apart, unframed
from gateway.problems import Kind, Problem, problem_of
from gateway.responses.archive import ARCHIVE, output, show, wanted
from gateway.responses.dialect import RESPONSES
from gateway.responses.input_items import page_of
from gateway.responses.request import parse_after
from tests.support.openai_schema import assert_is
from tests.support.responses_schema import INPUT_ITEMS, RESPONSE
from tests.support.responses_wire import check
from tests.unit.gateway_responses.rendering import ask_of, decoded, frames_of, head

JOB = "0123456789abcdef01234567"
ID = f"resp_{JOB}"
BEGUN = [Started("w", 1, "Bot"), Reasoning("hm")]
SAID = [Text("hello")]
CANCELLED = Failed(FailureKind.CANCELLED, "cancelled")


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi"} | fields).encode()


@pytest.mark.parametrize(
    ("method", "rest", "query", "action", "after"),
    [
        ("GET", ID, "", "show", -1),
        ("GET", ID, "include=x&stream=false&starting_after=3", "show", -1),
        ("GET", ID, "stream=true", "stream", -1),
        ("GET", ID, "stream=True&starting_after=0", "stream", 0),
        ("GET", f"{ID}/input_items", "limit=3", "list", -1),
        ("POST", f"{ID}/cancel", "", "cancel", -1),
        ("DELETE", ID, "stream=true", "delete", -1),
    ],
)
def test_what_is_asked_is_in_the_method_the_path_and_the_query(
    method: str, rest: str, query: str, action: Any, after: int
) -> None:
    assert wanted(method, rest, query) == Wanted(ID, JOB, action, after)


@pytest.mark.parametrize(
    ("method", "rest", "query", "kind"),
    [
        ("GET", "resp_1", "", Kind.ANSWER_NOT_FOUND),
        ("GET", f"{ID}-1", "", Kind.ANSWER_NOT_FOUND),
        ("GET", ID.upper(), "", Kind.ANSWER_NOT_FOUND),
        ("GET", f"{ID}/input_items/x", "", Kind.UNKNOWN_PATH),
        ("POST", "input_tokens", "", Kind.UNKNOWN_PATH),
        ("POST", ID, "", Kind.METHOD_NOT_ALLOWED),
        ("DELETE", f"{ID}/cancel", "", Kind.METHOD_NOT_ALLOWED),
        ("GET", ID, "stream=true&starting_after=1.5", Kind.BAD_REQUEST),
        ("GET", ID, "stream=true&starting_after=" + "9" * 30, Kind.BAD_REQUEST),
        ("GET", ID, "stream=true&starting_after=٣", Kind.BAD_REQUEST),
    ],
)
def test_what_is_malformed_is_told_so(method: str, rest: str, query: str, kind: Kind) -> None:
    with pytest.raises(Problem) as raised:
        wanted(method, rest, query)

    assert raised.value.kind is kind


@pytest.mark.parametrize(
    ("standing", "events", "failed", "status"),
    [
        ("queued", [], None, "queued"),
        ("in_progress", BEGUN, None, "in_progress"),
        ("in_progress", [*BEGUN, *SAID], None, "in_progress"),
        ("ended", [*BEGUN, *SAID, Finished()], None, "completed"),
        ("ended", [*SAID, Finished("length")], None, "incomplete"),
        ("ended", [*SAID, CANCELLED], CANCELLED, "cancelled"),
        ("ended", [], Failed(FailureKind.INTERRUPTED, "lost"), "failed"),
    ],
)
def test_a_response_is_shown_at_any_time(
    standing: Any, events: list[Any], failed: Failed | None, status: str
) -> None:
    problem = problem_of(failed) if failed else None

    shown = json.loads(show(head(), ask_of(background=True), events, standing, problem))

    assert_is(shown, RESPONSE)
    assert shown["status"] == status
    assert (shown["error"] is not None) == (status == "failed")


def test_a_background_stream_says_first_that_it_is_queued() -> None:
    ask = ask_of(background=True)

    events = decoded(frames_of([SAID, [Finished()]], ask))

    assert check(events)["background"] is True
    assert [event["response"]["status"] for event in events[:3]] == [
        *("queued", "queued"),
        "in_progress",
    ]


def test_a_cancelled_stream_ends_as_a_failed_one_with_another_status() -> None:
    events = decoded(frames_of([SAID, [CANCELLED]], failed=CANCELLED))

    response = check(events)
    assert (events[-1]["type"], response["status"]) == ("response.failed", "cancelled")


def test_what_is_kept_renders_the_same_answer_elsewhere() -> None:
    ask = ask_of(stream=True, tools=[{"type": "custom", "name": "note"}], metadata={"a": "b"})
    job = _job()
    events = [*BEGUN, *SAID, ToolCallDelta(0, "c1", "note", '{"input": "x"}'), Finished()]

    kept = heads.written(ask, job, "inline")
    there, asked, bot = heads.read(kept, JOB, RESPONSES.endpoints[0].ask)

    assert bot == job.model
    assert asked.keep is not None
    assert b"hi" not in kept
    here = head(job=JOB, created=int(job.created), reasoning="inline")
    want = show(here, ask, events, "ended", None)
    assert _but_usage(show(there, asked, events, "ended", None)) == _but_usage(want)


@pytest.mark.parametrize(
    ("fields", "background"),
    [({}, False), ({"store": True}, False), ({"store": False, "background": True}, True)],
)
def test_a_response_is_kept_unless_it_is_asked_not_to_be(
    fields: dict[str, Any], background: bool
) -> None:
    ask = ask_of(input=[{"role": "user", "content": "half \ud83d"}], **fields)

    assert ask.keep is not None
    assert ask.keep.background is background
    assert json.loads(ask.keep.items) == [{"role": "user", "content": "half \ufffd"}]
    assert json.loads(f"{{{ask.echo}}}")["store"] is True


def test_a_response_that_is_not_to_be_stored_is_not() -> None:
    ask = ask_of(store=False)

    assert ask.keep is None
    assert json.loads(f"{{{ask.echo}}}")["store"] is False


def test_a_conversation_goes_on_behind_its_instructions() -> None:
    call = {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"}
    earlier = [b'"one"', json.dumps([call]).encode()]
    own = [{"type": "function_call_output", "call_id": "1", "output": "sun"}]

    ask = parse_after(body(input=own, instructions="Be brief.", previous_response_id=ID), earlier)

    assert ask.previous == JOB
    assert ask.messages == (
        Message("system", "Be brief."),
        Message("user", "one"),
        Message("assistant", "", tool_calls=(ToolCall("1", "f", "{}"),)),
        Message("tool", "sun", tool_call_id="1"),
    )


def test_a_large_conversation_is_read_apart_as_it_is_read_at_once() -> None:
    endpoint, earlier = RESPONSES.endpoints[0], [b'"one"', b"[]", b'"three"', b"[]"]

    pieces = framed(endpoint, body(), ARCHIVE.parse_after, earlier)
    there, _ = unframed(endpoint, parse_apart(b"".join(pieces)))

    assert there.messages == parse_after(body(), earlier).messages
    assert [message.content for message in there.messages] == ["one", "three", "hi"]


def test_a_request_in_the_background_is_another_than_one_that_is_not() -> None:
    asks = [ask_of(), ask_of(store=False), ask_of(stream=True), ask_of(background=True)]

    digests = [digest_of("responses", ask) for ask in asks]

    assert len(set(digests[:3])) == 1
    assert digests[3] != digests[0]


@pytest.mark.parametrize("name", ["resp_1", "x", ID + "0"])
def test_a_response_that_nobody_can_have_made_is_not_continued(name: str) -> None:
    with pytest.raises(Problem) as raised:
        ask_of(previous_response_id=name)

    assert raised.value.param == "previous_response_id"
    assert raised.value.code == "previous_response_not_found"


def test_a_conversation_has_a_bound() -> None:
    earlier = [b"[" + b",".join([b'{"role":"user","content":""}'] * 10_000) + b"]"]

    with pytest.raises(Problem, match="10000 items"):
        parse_after(body(), earlier)


def test_a_call_that_was_broken_off_is_not_part_of_the_conversation() -> None:
    events = [*SAID, ToolCallDelta(0, "c1", "f", '{"a'), CANCELLED]

    items = json.loads(output(head(), ask_of(), events, problem_of(CANCELLED)))

    assert [item["type"] for item in items] == ["message"]
    whole = [*SAID, ToolCallDelta(0, "c1", "f", "{}"), Finished("tool_calls")]
    items = json.loads(output(head(), ask_of(), whole, None))
    assert [item["type"] for item in items] == ["message", "function_call"]


@pytest.mark.parametrize("text", ["", "Let me see."])
def test_a_call_that_was_cut_off_ends_no_conversation(text: str) -> None:
    cut = {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a'}
    said = [{"role": "assistant", "content": text}] if text else []
    answered = [cut | {"call_id": "0", "arguments": "{}"}, cut | {"status": "incomplete"}]
    result = {"type": "function_call_output", "call_id": "0", "output": "sun"}
    earlier = [b'"one"', json.dumps([*said, *answered]).encode()]

    ask = parse_after(body(input=[result], previous_response_id=ID), earlier)

    assert ask.messages == (
        Message("user", "one"),
        Message("assistant", text, tool_calls=(ToolCall("0", "f", "{}"),)),
        Message("tool", "sun", tool_call_id="0"),
    )
    alone = [b'"one"', json.dumps([*said, cut | {"status": "incomplete"}]).encode()]
    ask = parse_after(body(input="two", previous_response_id=ID), alone)
    own = (Message("assistant", text),) if text else ()
    assert ask.messages == (Message("user", "one"), *own, Message("user", "two"))


def test_a_call_that_was_cut_off_stays_where_it_has_a_result() -> None:
    call = {"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a'}
    result = {"type": "function_call_output", "call_id": "1", "output": "sun"}

    ask = ask_of(input=[call | {"status": "incomplete"}, result])

    assert [message.role for message in ask.messages] == ["assistant", "tool"]


TURNS = (
    Turn("a", b'"one"', b'[{"id":"msg_a_0","type":"message","role":"assistant","content":[]}]'),
    Turn(
        "b",
        json.dumps(
            [
                {"role": "user", "content": [{"type": "text", "text": "two"}], "name": None},
                {"role": "assistant", "content": "three", "id": "mine"},
                {"type": "reasoning"},
                {"type": "function_call_output", "call_id": "1", "output": "sun"},
            ]
        ).encode(),
        b"",
    ),
)
IDS = ["msg_a_in0", "msg_a_0", "msg_b_in0", "msg_b_in1", "rs_b_in2", "fco_b_in3"]


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ("", IDS[::-1], False),
        ("order=asc", IDS, False),
        ("order=asc&limit=2", IDS[:2], True),
        ("order=asc&limit=2&after=msg_a_0", IDS[2:4], True),
        ("limit=2&after=msg_b_in0", ["msg_a_0", "msg_a_in0"], False),
        ("order=asc&after=fco_b_in3", [], False),
    ],
)
def test_items_are_listed_page_by_page(query: str, ids: list[str], more: bool) -> None:
    page = json.loads(page_of(TURNS, query))

    assert [item["id"] for item in page["data"]] == ids
    assert page["has_more"] is more
    assert (page["first_id"], page["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))


def test_items_are_listed_with_all_that_openais_have() -> None:
    page = json.loads(page_of(TURNS[1:], "order=asc"))

    assert_is(page, INPUT_ITEMS)
    assert [item["content"] for item in page["data"][:2]] == [
        [{"type": "input_text", "text": "two"}],
        [{"annotations": [], "logprobs": [], "type": "output_text", "text": "three"}],
    ]


def test_a_call_is_listed_with_its_arguments_as_text_and_whether_it_was_cut_off() -> None:
    call = {"type": "function_call", "call_id": "1", "name": "f"}
    given = [call | {"arguments": {"a": 1}}, call | {"arguments": '{"a', "status": "incomplete"}]

    page = json.loads(page_of([Turn("a", json.dumps(given).encode(), b"")], "order=asc"))

    assert_is(page, INPUT_ITEMS)
    assert [(item["arguments"], item["status"]) for item in page["data"]] == [
        ('{"a":1}', "completed"),
        ('{"a', "incomplete"),
    ]


def _job() -> Job:
    return Job(JOB, "ann", "Bot", (), created=1_700_000_000.5)


def _but_usage(shown: bytes) -> dict[str, Any]:
    return {**json.loads(shown), "usage": None}
