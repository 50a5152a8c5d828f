"""Which texts are placeholders, and which may become one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.bot.placeholders import (
    Certainty,
    heads_thoughts,
    judge,
    last_line_begins,
)
from worker.poe.status_lines import may_become_status_line

PLACEHOLDERS = [
    "Thinking...",
    "Thinking…",
    "Thinking... (12s elapsed)",
    "Thinking… (12s elapsed)",
    "Thinking (1s elapsed)",
    "Generating image...",
    "Generating image (3s elapsed)",
    "Generating image... (120s elapsed)\n",
    "Generating video... (4s elapsed)",
    "Searching ...",
    "Searching the web...",
    "\n\nThinking...\n",
]
WORDS = [
    "",
    "T",
    "Thinking",
    "Thinking about it, yes",
    "Thinking..",
    "Thinking... well",
    "Thinking....",
    "Generating imagery...",
    "Searching for cats...",
    "I was thinking...",
    "(3s elapsed)",
]


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_that_replaced_something_is_sure(text: str) -> None:
    assert judge(text, replaced=True, alone=True) is Certainty.SURE


@pytest.mark.parametrize("text", WORDS)
def test_words_are_words_however_they_came(text: str) -> None:
    assert judge(text, replaced=True, alone=True) is Certainty.WORDS


@pytest.mark.parametrize(
    ("text", "alone", "certainty"),
    [
        pytest.param("Thinking...", False, Certainty.LIKELY, id="in pieces"),
        pytest.param("Thinking...", True, Certainty.BY_ITSELF, id="as one event"),
        pytest.param("Thinking... (2s elapsed)", False, Certainty.SURE, id="counts seconds"),
    ],
)
def test_how_it_came_says_how_sure_it_is(text: str, alone: bool, certainty: Certainty) -> None:
    assert judge(text, replaced=False, alone=alone) is certainty


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_every_beginning_of_a_placeholder_may_become_one(text: str) -> None:
    assert all(may_become_status_line(text[:end]) for end in range(len(text) + 1))


@pytest.mark.parametrize(
    "text", ["Hello", "Think of", "Thinking a", "Generating images", "Searchingly", "thinking..."]
)
def test_words_are_let_go_at_the_first_letter_that_differs(text: str) -> None:
    assert not may_become_status_line(text)


@given(st.text(alphabet="Thinkg .…(s)1\n", min_size=121))
def test_nothing_long_may_become_one(text: str) -> None:
    assert not may_become_status_line(text)


@pytest.mark.parametrize(
    ("shown", "last"),
    [
        pytest.param("", "Thinking...", id="nothing else"),
        pytest.param("Sorted.\n\n", "Generating image... (3s elapsed)", id="below an answer"),
        pytest.param("Sorted.\n", "Rendering frame 7 (3s elapsed)\n", id="of an unknown bot"),
        pytest.param("", "Rendering (3s elapsed)", id="of an unknown bot, alone"),
        pytest.param("Sorted.\n\nThinking...", "", id="without a counter it may be words"),
        pytest.param("It took (3s elapsed) and more.", "", id="a counter inside a line"),
        pytest.param("", "", id="no text at all"),
    ],
)
def test_finds_where_the_placeholder_at_the_end_begins(shown: str, last: str) -> None:
    assert last_line_begins(shown + last) == len(shown)


def test_a_heading_is_looked_for_in_few_line_breaks() -> None:
    assert heads_thoughts("Thinking...\n\n> The question")
    assert not heads_thoughts("Thinking..." + "\n" * 100_000 + "> The question")
