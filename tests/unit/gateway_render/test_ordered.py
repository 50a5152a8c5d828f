from typing import Any

import pytest

from contract.config import ReasoningMode
from contract.messages import (
    Event,
    Failed,
    FailureKind,
    File,
    Finished,
    Reasoning,
    Refusal,
    Replaced,
    Text,
    ToolCallDelta,
)
from gateway.render.ordered import OrderedAnswer
from gateway.render.tool_calls import Call


class Recorded:
    """Records what a client would be sent."""

    def __init__(self) -> None:
        self.pieces: list[tuple[Any, ...]] = []

    def text(self, text: str) -> None:
        self.pieces.append(("text", text))

    def thought(self, text: str) -> None:
        self.pieces.append(("thought", text))

    def refusal(self, text: str) -> None:
        self.pieces.append(("refusal", text))

    def call(self, call: Call) -> None:
        self.pieces.append(("call", call.id, call.name))

    def arguments(self, call: Call, text: str) -> None:
        self.pieces.append(("arguments", call.id, text))

    def finish(self, finished: Finished) -> None:
        self.pieces.append(("finish", finished.reason))


def ordered(*records: list[Event], reasoning: ReasoningMode = "separate") -> list[tuple[Any, ...]]:
    answer, recorded = OrderedAnswer(reasoning, "a"), Recorded()
    for events in records:
        answer.feed(events, recorded)
    return recorded.pieces


def test_neighbours_of_one_kind_are_one_piece_within_a_record() -> None:
    pieces = ordered(
        [Reasoning("h"), Reasoning("m"), Text("a"), Text("b")],
        [Text("c"), ToolCallDelta(0, "id", "f", "{"), ToolCallDelta(0, arguments="}")],
    )

    assert pieces == [
        ("thought", "hm"),
        ("text", "ab"),
        ("text", "c"),
        ("call", "id", "f"),
        ("arguments", "id", "{}"),
    ]


def test_fragments_of_several_calls_stay_apart() -> None:
    begin = [ToolCallDelta(n, f"id{n}", "f") for n in range(2)]

    pieces = ordered([*begin, ToolCallDelta(0, arguments="1"), ToolCallDelta(1, arguments="2")])

    assert pieces[2:] == [("arguments", "id0", "1"), ("arguments", "id1", "2")]


@pytest.mark.parametrize(
    ("reasoning", "expected"),
    [
        pytest.param("separate", [("thought", "hm"), ("text", "So.")], id="beside the text"),
        pytest.param("inline", [("text", "<think>\nhm\n</think>\n\nSo.")], id="within it"),
        pytest.param("drop", [("text", "So.")], id="left out"),
    ],
)
def test_thoughts_go_where_the_operator_wants_them(
    reasoning: ReasoningMode, expected: list[tuple[str, str]]
) -> None:
    assert ordered([Reasoning("hm"), Text("So.")], reasoning=reasoning) == expected


@pytest.mark.parametrize(
    ("end", "last"),
    [
        pytest.param(Refusal("No."), ("refusal", "No."), id="a refusal"),
        pytest.param(Finished("length"), ("finish", "length"), id="the end"),
        pytest.param(Failed(FailureKind.INTERRUPTED, "gone"), None, id="a failure"),
    ],
)
def test_what_is_due_of_the_text_comes_before(end: Event, last: tuple[str, str] | None) -> None:
    file = File("https://poe.test/a.png", "a.png", "image/png")

    pieces = ordered([Reasoning("hm"), file, end], reasoning="inline")

    shown = "![a.png](https://poe.test/a.png)"
    assert pieces == [("text", f"<think>\nhm\n</think>\n\n{shown}"), *([last] if last else [])]


def test_replaced_text_is_sent_as_what_is_new_in_it() -> None:
    assert ordered([Text("Hel")], [Replaced("Hello")]) == [("text", "Hel"), ("text", "lo")]
