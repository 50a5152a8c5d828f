"""What a model thinks is told from what it answers."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import (
    Event,
    File,
    Finished,
    Reasoning,
    Replaced,
    Text,
    Usage,
)
from simulated_poe import steps as steps_of_a_bot
from simulated_poe.ask import Ask
from simulated_poe.bots import find
from tests.unit.worker_shaping.answers import CUTS, Seen, pieces_of, read, shaping
from worker.bot.reader import BotReader
from worker.poe.sse import ServerSentEvent
from worker.shaping import without_thoughts

MARKDOWN = "*Thinking...*\n\n> The question is:\n>\n> what is it?\n\nIt is this.\n\n> quoted"
THOUGHTS = "The question is:\n\nwhat is it?"


def split(text: str, *, thinks: bool = True) -> tuple[str, str]:
    seen = read(shaping(thinks=thinks).feed([Text(text), Finished()]))
    assert seen.end == "stop"
    return seen.reasoning, seen.text


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        pytest.param(MARKDOWN, THOUGHTS, "It is this.\n\n> quoted", id="Poe's form"),
        pytest.param("Thinking...\n\n> a\n\nb", "a", "b", id="older"),
        pytest.param("*Thinking…*\n> a\n\n\nb", "a", "b", id="an ellipsis, and no blank line"),
        pytest.param("*Thinking... (12s elapsed)*\n\n> a\n\nb", "a", "b", id="a counter"),
        pytest.param("*Thinking...* (12s elapsed)\n\n> a\n\nb", "a", "b", id="a counter behind"),
        pytest.param("\n\n*Thinking...*\n\n>a\n\n  b", "a", "  b", id="indented answer"),
        pytest.param("*Thinking...*\n\n> a\nb", "a", "b", id="no blank line behind"),
        pytest.param("*Thinking...*\n\n> a\n\n> b", "a", "> b", id="an answer that is a quote"),
        pytest.param("*Thinking...*\n\n> a\n>\n", "a\n", "", id="thoughts only"),
        pytest.param("*Thinking...*\n\n> a", "a", "", id="thoughts that were cut"),
        pytest.param("<think>\na\n\nb\n</think>\n\nc", "a\n\nb", "c", id="tags"),
        pytest.param(" <think>a</think>b", "a", "b", id="tags on one line"),
        pytest.param("<think></think>b", "", "b", id="tags without thoughts"),
        pytest.param("<think>a < b </thin", "a < b </thin", "", id="a tag that is not closed"),
        pytest.param("<THINK>a</Think>b", "a", "b", id="tags in capitals"),
        pytest.param("<thinking>a</thinking>b", "a", "b", id="longer tags"),
        pytest.param('<think budget="2">a</think >b', "a", "b", id="tags with attributes"),
        pytest.param("<think\n>a</think>b", "a", "b", id="a tag on two lines"),
        pytest.param("<think>a<think>b</think>c</think>d", "a<think>b</think>c", "d", id="nested"),
        pytest.param("<think>a<think>b</think>c", "a<think>b", "c", id="a tag that is mentioned"),
        pytest.param("<think>a<think>b</think><think>c", "a<think>b\n\nc", "", id="never closed"),
        pytest.param("<think>a</think>b</think>c", "a", "b</think>c", id="closed twice"),
        pytest.param("<think>a</think>\n<think>b</think>\nc", "a\n\nb", "c", id="one by one"),
        pytest.param("<think></think><think>b</think>c", "b", "c", id="one by one, first empty"),
        pytest.param("<think>a</think>\n\n<thi", "a", "<thi", id="an answer like a tag"),
        pytest.param("<think>a</think>b <think>c</think>", "a", "b <think>c</think>", id="later"),
        pytest.param("<thinker>a</thinker>", "", "<thinker>a</thinker>", id="a longer word"),
        pytest.param("</think>a", "", "</think>a", id="a closing tag alone"),
        pytest.param("> a\n\nb", "", "> a\n\nb", id="a quote without a heading"),
        pytest.param("*Thinking...*\n\nb", "", "*Thinking...*\n\nb", id="a heading without quote"),
        pytest.param("Thinking...", "", "Thinking...", id="a heading and nothing else"),
        pytest.param("*Thinking* is hard", "", "*Thinking* is hard", id="a word that looks alike"),
        pytest.param("I said <think>", "", "I said <think>", id="a tag that is quoted"),
        pytest.param("<thing>", "", "<thing>", id="another tag"),
        pytest.param("", "", "", id="nothing"),
    ],
)
def test_thoughts_are_told_from_the_answer(text: str, reasoning: str, answer: str) -> None:
    assert split(text) == (reasoning, answer)


@pytest.mark.parametrize("thinks", [False, True])
def test_an_answer_that_begins_with_a_tag_thinks_whatever_is_known_of_its_model(
    thinks: bool,
) -> None:
    assert split("\n <think>a</think>\n\nb", thinks=thinks) == ("a", "b")
    assert split("A <think>a</think>b", thinks=thinks) == ("", "A <think>a</think>b")


def test_what_follows_a_tag_that_was_only_mentioned_waits_no_longer_than_it_must() -> None:
    shaped = shaping()
    words = "word " * 500

    out = shaped.feed([Text("<think>Use <think>?</think>"), Text(words)])

    assert read(out) == Seen(text=words, reasoning="Use <think>?")


def test_a_model_that_does_not_think_may_write_of_headings() -> None:
    assert split("Thinking...\n\n> a\n\nb", thinks=False) == ("", "Thinking...\n\n> a\n\nb")
    assert split(MARKDOWN, thinks=False)[0] == THOUGHTS


FRAGMENTS = [
    "*Thinking...*",
    "Thinking...",
    " (3s elapsed)",
    "\n",
    "\n\n",
    "> ",
    ">",
    " ",
    "a",
    "b",
]
TAGS = ["<think>", "</think>", "<THINKING a>", "</thinking>", "<", "</th", "*", "…", "> a\n"]


HEADS = ["", "*Thinking...*\n\n> a", "Thinking...\n>", "<think>", "<think>a</think>"]
TEXTS = st.tuples(
    st.sampled_from(HEADS), st.lists(st.sampled_from([*FRAGMENTS, *TAGS]), max_size=8)
)


@given(TEXTS.map(lambda parts: parts[0] + "".join(parts[1])), CUTS, st.booleans())
def test_where_the_network_cuts_makes_no_difference(
    text: str, cuts: list[int], thinks: bool
) -> None:
    shaped = shaping(thinks=thinks)
    out = [e for piece in pieces_of(text, cuts) for e in shaped.feed([piece])]
    out += shaped.feed([Finished()])
    seen = read(out)

    assert (seen.reasoning, seen.text) == split(text, thinks=thinks)


@pytest.mark.parametrize("text", [MARKDOWN, "<think>\na\n</think>\n\nb", "<think>a"])
def test_byte_by_byte_comes_the_same(text: str) -> None:
    for size in (1, 2, 3, 7):
        shaped = shaping(thinks=True)
        pieces = [Text(text[at : at + size]) for at in range(0, len(text), size)]
        seen = read(
            [e for piece in pieces for e in shaped.feed([piece])] + shaped.feed([Finished()])
        )
        assert (seen.reasoning, seen.text) == split(text)


@given(st.text(alphabet="a>\n *T<", max_size=60))
def test_no_word_of_an_answer_without_thoughts_is_lost(text: str) -> None:
    assert split(text, thinks=False) == ("", text)


def test_an_attempt_that_fails_gives_up_what_waited() -> None:
    shaped = shaping()

    assert shaped.feed([Text("*Thinking...*\n\n")]) == []
    assert shaped.flush() == [Text("*Thinking...*\n\n")]
    assert shaped.feed([Text("more"), Finished()]) == []


def test_a_plain_answer_passes_as_it_is_once_it_has_begun() -> None:
    shaped = shaping()
    shaped.feed([Text("Hello")])

    assert shaped.feed([Text(", "), Text("world")]) == [Text(", "), Text("world")]


def test_what_is_not_text_passes() -> None:
    others: list[Event] = [Reasoning("hm"), Usage(1, 2), File("https://p.example/1", "1", "")]

    assert shaping().feed([*others, Finished("content_filter")]) == [
        *others,
        Finished("content_filter"),
    ]


def replaced(*texts: str) -> list[Event]:
    shaped = shaping()
    return [e for text in texts for e in shaped.feed([Replaced(text)])] + shaped.feed([Finished()])


def test_thoughts_that_a_replaced_text_repeats_are_sent_once() -> None:
    head = "*Thinking...*\n\n"

    seen = read(replaced(f"{head}> a", f"{head}> a\n> b", f"{head}> a\n> b\n\nHel", "Hello"))

    assert seen == Seen(text="Hello", reasoning="a\nb", end="stop")


def test_thoughts_that_a_replaced_text_takes_back_stay_and_are_not_doubled() -> None:
    head = "*Thinking...*\n\n"
    shaped = shaping()
    out = shaped.feed(
        [Text(f"{head}> a\n> b"), Replaced(f"{head}> a\n> cc"), Text(" more\n\nHello")]
    )

    assert read(out + shaped.feed([Finished()])) == Seen("Hello", "a\nb", end="stop")


def test_text_that_follows_a_replaced_text_goes_on_with_its_thoughts() -> None:
    shaped = shaping()
    head = "*Thinking...*\n\n"
    out = shaped.feed([Text(f"{head}> abc"), Replaced(f"{head}> ab"), Text("cd\n\nHello")])

    assert read(out + shaped.feed([Finished()])) == Seen("Hello", "abcd", end="stop")


def test_an_answer_is_replaced_by_one_that_thinks_first() -> None:
    out = replaced("Draft", "*Thinking...*\n\n> a\n\nFinal")

    assert read(out) == Seen("Final", "a", end="stop")


def sse(name: str, text: str) -> ServerSentEvent:
    return ServerSentEvent(name, msgspec.json.encode({"text": text}))


def bot_says(*events: tuple[str, str], thinks: bool = True) -> Seen:
    """What a client has of a bot's events, through the bot kind's own stream."""
    stream, shaped = BotReader(), shaping(thinks=thinks)
    out: list[Event] = []
    for name, text in events:
        out += shaped.feed(stream.feed([sse(name, text)]))
    return read(out + shaped.feed(stream.end()))


def test_a_placeholder_that_vanishes_is_not_taken_for_thoughts() -> None:
    counted = [("replace_response", f"Thinking... ({n}s elapsed)") for n in range(1, 4)]
    words = [("text", word) for word in ("I have", " thought", " about it")]

    seen = bot_says(("replace_response", "Thinking..."), *counted, ("replace_response", ""), *words)

    assert seen == Seen("I have thought about it", end="stop")


@pytest.mark.parametrize("size", [1, 5, 14, 1000])
def test_a_bot_that_reasons_in_text_is_split_behind_the_transcript(size: int) -> None:
    pieces = [("text", MARKDOWN[at : at + size]) for at in range(0, len(MARKDOWN), size)]

    assert bot_says(*pieces) == Seen("It is this.\n\n> quoted", THOUGHTS, end="stop")


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (("text", "Thinking..."), "\n\n> a\n\nHello"),
        (("text", "Thinking...\n\n"), "> a\n\nHello"),
        (("replace_response", "Thinking... (3s elapsed)"), "\n\n> a\n\nHello"),
    ],
)
def test_a_heading_that_looks_like_a_placeholder_heads_its_thoughts(
    first: tuple[str, str], rest: str
) -> None:
    assert bot_says(first, ("text", rest)) == Seen("Hello", "a", end="stop")


def test_a_placeholder_that_gives_way_to_thoughts_leaves_them_whole() -> None:
    seen = bot_says(
        ("replace_response", "Thinking..."),
        ("replace_response", "Thinking... (2s elapsed)"),
        ("replace_response", "*Thinking...*\n\n> a"),
        ("replace_response", "*Thinking...*\n\n> a\n> b\n\n"),
        ("text", "Hello"),
    )

    assert seen == Seen("Hello", "a\nb", end="stop")


@pytest.mark.parametrize(
    ("name", "reasoning", "answer"),
    [
        ("Reason", "The question is:\n\nwhy", "The answer to: why"),
        ("Reason-tags", "The question is:\n\nwhy", "The answer to: why"),
        ("Reason-only", "The question is:\n\nwhy", ""),
        ("Think", "", "I have thought about it: why"),
    ],
)
def test_the_simulated_bots_are_split(name: str, reasoning: str, answer: str) -> None:
    found = find(name)
    assert found is not None
    bot, variant = found
    steps = bot.play(Ask("why", {}, {}, "", variant))
    events = [
        ("replace_response" if step.replaces else "text", step.text)
        for step in steps
        if isinstance(step, steps_of_a_bot.Text)
    ]

    assert bot_says(*events) == Seen(answer, reasoning, end="stop")


def test_a_bot_that_only_thinks_has_answered() -> None:
    assert bot_says(("text", "*Thinking...*\n\n> a\n\n")) == Seen("", "a", end="stop")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (MARKDOWN, "It is this.\n\n> quoted"),
        ("<think>a</think>\n\nb", "b"),
        ("plain", "plain"),
        ("*Thinking...*\n\n> a", ""),
    ],
)
def test_thoughts_are_stripped_off_the_history(text: str, answer: str) -> None:
    assert without_thoughts(text) == answer
