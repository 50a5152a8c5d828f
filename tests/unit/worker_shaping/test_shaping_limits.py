"""Stop sequences and a number of tokens end an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import (
    Event,
    Finished,
    Options,
    Reasoning,
    Replaced,
    Text,
    ToolCallDelta,
)
from contract.token_estimate import TokenCounter, estimate_tokens
from tests.support.counting import counted_calls
from tests.unit.worker_shaping.answers import CUTS, Seen, pieces_of, read, shaping


def stopped(events: list[Event], *stop: str) -> Seen:
    shaped = shaping(Options(stop=stop))
    out = [e for event in events for e in shaped.feed([event])]
    return read(out + shaped.feed([Finished("length")]))


@pytest.mark.parametrize(
    ("pieces", "stop", "text", "end"),
    [
        (["Hello"], ["x"], "Hello", "length"),
        (["Hel", "lo"], ["ll"], "He", "stop"),
        (["a", "b", "c"], ["abc"], "", "stop"),
        (["ab", "a", "bc", "d"], ["abc"], "ab", "stop"),
        (["ab"], ["abc"], "ab", "length"),
        (["abcd"], ["abcd", "c"], "ab", "stop"),
        (["abab", "x"], ["abx", ""], "ab", "stop"),
    ],
)
def test_an_answer_ends_before_its_stop_sequence(
    pieces: list[str], stop: list[str], text: str, end: str
) -> None:
    assert stopped([Text(piece) for piece in pieces], *stop) == Seen(text, end=end)


STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), min_size=1, max_size=3)


@given(st.text("ab\n", max_size=40), STOPS, CUTS)
def test_a_stop_sequence_is_found_wherever_the_network_cuts(
    text: str, stop: list[str], cuts: list[int]
) -> None:
    ends = [text.find(s) + len(s) for s in stop if s in text]
    first = (
        min((end - len(s), s) for end in [min(ends)] for s in stop if text[:end].endswith(s))[0]
        if ends
        else len(text)
    )

    seen = stopped(pieces_of(text, cuts), *stop)

    assert seen == Seen(text[:first], end="stop" if ends else "length")


@given(st.text("ab", max_size=30), STOPS)
def test_no_more_waits_than_a_stop_sequence_less_one_character(text: str, stop: list[str]) -> None:
    shaped = shaping(Options(stop=tuple(stop)))
    shown = ""
    for place, letter in enumerate(text, 1):
        out = shaped.feed([Text(letter)])
        if isinstance(out[-1] if out else None, Finished):
            break
        shown += "".join(e.text for e in out if isinstance(e, Text))
        assert place - len(shown) < max(map(len, stop))


@pytest.mark.parametrize("piece", [1, 7, 4_000])
def test_many_long_stop_sequences_cost_no_more_than_one(piece: int) -> None:
    stop = tuple("a" * n + "b" for n in range(1, 90))
    text = "a" * 4_000
    shaped = shaping(Options(stop=stop))

    with counted_calls() as calls:
        for start in range(0, len(text), piece):
            shaped.feed([Text(text[start : start + piece])])

    assert calls.made < 3 * len(text) + 20 * len(text) / piece + 100


def test_a_stop_sequence_is_found_in_a_replaced_text() -> None:
    assert stopped([Text("Dra"), Replaced("Final.END")], "END") == Seen("Final.", end="stop")
    assert stopped([Text("DraE"), Replaced("N"), Text("D")], "END") == Seen("ND", end="length")


def test_thoughts_and_tool_calls_are_not_searched_for_stop_sequences() -> None:
    events: list[Event] = [Reasoning("a END b"), ToolCallDelta(0, "1", "END", "END")]

    assert shaping(Options(stop=("END",))).feed(events) == events


def test_the_sequence_that_ends_an_answer_is_told_however_it_is_cut() -> None:
    shaped = shaping(Options(stop=("STOP", "END", "D")))

    assert shaped.feed([Text("a E"), Text("N")]) == [Text("a ")]
    assert shaped.feed([Text("D b")]) == [Finished("stop", "END")]


def test_nothing_follows_a_stop_sequence() -> None:
    shaped = shaping(Options(stop=("END",)))

    assert shaped.feed([Text("a END b"), Finished()]) == [Text("a "), Finished("stop", "END")]
    assert shaped.feed([Text("c"), Finished()]) == []
    assert shaped.flush() == []


def test_what_waits_for_a_stop_sequence_is_not_lost_when_the_attempt_fails() -> None:
    shaped = shaping(Options(stop=("END",)))

    assert shaped.feed([Text("the EN")]) == [Text("the ")]
    assert shaped.flush() == [Text("EN")]


def counted(events: list[Event], limit: int) -> Seen:
    shaped = shaping(Options(max_tokens=limit))
    out = [e for event in events for e in shaped.feed([event])]
    return read(out + shaped.feed([Finished()]))


@given(st.text(max_size=60), st.integers(min_value=1, max_value=12), CUTS)
def test_an_answer_has_as_many_tokens_as_were_asked_for_at_most(
    text: str, limit: int, cuts: list[int]
) -> None:
    seen = counted(pieces_of(text, cuts), limit)

    assert text.startswith(seen.text)
    assert estimate_tokens(seen.text) <= limit
    if seen.end == "stop":
        assert seen.text == text
    else:
        assert seen.end == "length"
        assert estimate_tokens(text[: len(seen.text) + 1]) > limit


def test_an_answer_that_just_fits_is_complete() -> None:
    assert counted([Text("a" * 8)], 2) == Seen("a" * 8, end="stop")
    assert counted([Text("a" * 8), Text("b")], 2) == Seen("a" * 8, end="length")


def test_thoughts_count() -> None:
    assert counted([Reasoning("a" * 8), Text("b" * 8)], 3) == Seen("b" * 4, "a" * 8, end="length")
    assert counted([Reasoning("a" * 9)], 2) == Seen("", "a" * 8, end="length")


def test_a_replaced_text_is_counted_anew() -> None:
    assert counted([Text("a" * 8), Replaced("b" * 8)], 2) == Seen("b" * 8, end="stop")
    assert counted([Text("a" * 8), Replaced("b" * 12)], 2) == Seen("b" * 8, end="length")


def test_nothing_is_cut_once_a_tool_call_has_begun() -> None:
    call = ToolCallDelta(0, "1", "f", '{"a": "' + "x" * 100 + '"}')

    seen = counted([Text("ok"), call, Text("more" * 10)], 2)

    assert seen == Seen("ok" + "more" * 10, calls=[("1", "f", call.arguments)], end="stop")


def test_without_a_number_nothing_is_counted() -> None:
    assert read(shaping().feed([Text("a" * 10_000), Finished()])).text == "a" * 10_000


@given(st.text(max_size=30), st.text(max_size=30), st.integers(min_value=0, max_value=10))
def test_the_room_for_a_text_is_what_can_be_added_within_the_limit(
    before: str, text: str, limit: int
) -> None:
    counter = TokenCounter()
    counter.add(before)

    room = counter.fitting(text, limit)

    counter.add(text[:room])
    assert room == 0 or counter.tokens <= limit
    assert room == len(text) or estimate_tokens(before + text[: room + 1]) > limit


def test_the_room_for_a_long_text_is_found_in_few_steps() -> None:
    counter = TokenCounter()

    with counted_calls() as calls:
        assert counter.fitting("abcd" * 250_000, 200_001) == 800_004

    assert calls.made < 100
