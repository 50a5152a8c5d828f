"""JSON that is sent as it comes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from contract.messages import (
    Event,
    Finished,
    Format,
    Options,
    Reasoning,
    Refusal,
    Text,
    ToolCallDelta,
    Usage,
)
from tests.unit.worker_shaping.answers import CUTS, pieces_of
from worker.shaping import Mismatch, Shaping

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
ANSWER = '{"a": "}\\"{", "b": [1, {}]}'
END = Finished()


def stream(schema: dict[str, Any] | None = SCHEMA, **options: Any) -> Shaping:
    wanted = Options(format=Format("x", schema), **options)
    return Shaping(wanted, emulate_tools=False, thinks=False, streams_json=True)


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Text))


def test_an_object_is_sent_piece_by_piece() -> None:
    shaped = stream()

    assert shaped.feed([Text(' \n{"a"')]) == [Text('{"a"')]
    assert shaped.feed([Text(': "b"}')]) == [Text(': "b"}')]
    assert shaped.feed([Usage(1, 2), END]) == [Usage(1, 2), END]


@given(CUTS)
def test_however_it_is_cut_the_object_is_sent_and_nothing_behind_it(cuts: list[int]) -> None:
    shaped = stream()
    sent: list[Event] = []
    for event in pieces_of(f"\n {ANSWER}\n\nI hope {{it}} helps.", cuts):
        sent += shaped.feed([event])

    assert text_of(sent) == ANSWER
    assert shaped.feed([END]) == [END]


def test_thoughts_are_sent_as_they_come() -> None:
    shaped = stream()

    assert shaped.feed([Reasoning("hm")]) == [Reasoning("hm")]
    assert text_of(shaped.feed([Text(ANSWER)])) == ANSWER


@given(CUTS)
def test_an_answer_that_begins_as_prose_is_held_and_mended(cuts: list[int]) -> None:
    shaped = stream()
    held = [
        e
        for piece in pieces_of(f"Sure:\n```json\n{ANSWER}\n```", cuts)
        for e in shaped.feed([piece])
    ]

    assert held == []
    assert shaped.feed([END]) == [Text(ANSWER), END]


@pytest.mark.parametrize("text", ["", "  ", "Never.", "[1]", 'Look: {"a": 1}'])
def test_an_answer_of_which_nothing_was_sent_may_be_asked_for_again(text: str) -> None:
    shaped = stream()

    with pytest.raises(Mismatch) as caught:
        shaped.feed([Text(text), END])

    assert list(caught.value.due) == []
    assert caught.value.is_refused


@pytest.mark.parametrize(
    "text", [pytest.param('{"a": 1}', id="of another type"), pytest.param('{"a": "b', id="cut")]
)
def test_a_wrong_object_is_followed_by_a_refusal(text: str) -> None:
    shaped = stream()

    assert shaped.feed([Text(text)]) == [Text(text)]
    with pytest.raises(Mismatch) as caught:
        shaped.feed([END])

    refusal, end = caught.value.end
    assert isinstance(refusal, Refusal)
    assert end == END


def test_without_a_schema_what_is_no_object_just_ends() -> None:
    shaped = stream(None)
    shaped.feed([Text('{"a": ')])

    with pytest.raises(Mismatch) as caught:
        shaped.feed([END])

    assert caught.value.end == [END]


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param([ToolCallDelta(0, "c", "f", "{}")], id="a call"),
        pytest.param([Refusal("No.")], id="a refusal of the model's own"),
    ],
)
@pytest.mark.parametrize("text", ["", "I call.", '{"a"'])
def test_no_object_is_due_beside_a_call_or_a_refusal(beside: list[Event], text: str) -> None:
    shaped = stream()

    out = shaped.feed([*([Text(text)] if text else []), *beside, END])

    assert text_of(out) == text
    assert [event for event in out if not isinstance(event, Text)] == [*beside, END]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
@pytest.mark.parametrize("text", ['{"a": "b', "Sure: {"])
def test_an_answer_that_was_cut_is_sent_as_it_is(reason: Any, text: str) -> None:
    out = stream().feed([Text(text), Finished(reason)])

    assert out == [Text(text), Finished(reason)]


def test_what_is_held_of_an_answer_that_fails_is_not_lost() -> None:
    shaped = stream()
    shaped.feed([Text("Sure: ")])

    assert shaped.flush() == [Text("Sure: ")]


def test_a_refusal_is_no_mismatch_where_the_answer_is_not_streamed_either() -> None:
    shaped = Shaping(Options(format=Format("x", SCHEMA)), emulate_tools=False, thinks=False)

    assert shaped.feed([Refusal("No."), END]) == [Refusal("No."), END]
