import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.render.append_only import AppendOnly

# Steps: ("+", text) appends, ("=", text) replaces.
Steps = list[tuple[str, str]]


def sent(steps: Steps) -> list[str]:
    text = AppendOnly()
    return [text.append(t) if op == "+" else text.replace(t) for op, t in steps]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        pytest.param([("+", "Hel"), ("+", "lo")], ["Hel", "lo"], id="appended"),
        pytest.param([("=", "Hello")], ["Hello"], id="replaces nothing"),
        pytest.param([("+", "Hel"), ("=", "Hello"), ("+", "!")], ["Hel", "lo", "!"], id="grows"),
        pytest.param([("+", "Hello"), ("=", "Hello")], ["Hello", ""], id="the same again"),
        pytest.param(
            [("+", "Hello"), ("=", "Hel"), ("+", "lo"), ("+", "!")],
            ["Hello", "", "", "!"],
            id="taken back, then said again",
        ),
        pytest.param(
            [("+", "Hello"), ("=", ""), ("+", "Hello!")], ["Hello", "", "!"], id="overtakes"
        ),
        pytest.param(
            [("+", "Hello"), ("=", "Hel"), ("+", "p")],
            ["Hello", "", "\n\nHelp"],
            id="taken back, then differs",
        ),
        pytest.param(
            [("+", "Thinking..."), ("=", "Hi"), ("+", "!")],
            ["Thinking...", "\n\nHi", "!"],
            id="differs",
        ),
        pytest.param(
            [("+", "a"), ("=", "b"), ("=", "bc"), ("=", "d")],
            ["a", "\n\nb", "c", "\n\nd"],
            id="differs, grows, differs",
        ),
        pytest.param(
            [("+", "abc"), ("=", "ab"), ("=", "a"), ("+", "bcd")],
            ["abc", "", "", "d"],
            id="taken back twice",
        ),
    ],
)
def test_replaced_text_only_ever_grows(steps: Steps, expected: list[str]) -> None:
    assert sent(steps) == expected


SMALL_TEXT = st.text("ab", max_size=4)
STEPS = st.lists(st.tuples(st.sampled_from("+="), SMALL_TEXT), max_size=8)


def answer(steps: Steps) -> str:
    text = ""
    for op, t in steps:
        text = text + t if op == "+" else t
    return text


@given(STEPS)
def test_what_the_client_has_ends_with_the_answer_unless_the_answer_was_cut_short(
    steps: Steps,
) -> None:
    shown = "".join(sent(steps)).split("\n\n")[-1]

    assert shown.startswith(answer(steps))
    taken_back = any(op == "=" for op, _ in steps)
    assert shown == answer(steps) or taken_back


@given(STEPS, st.text("ab", min_size=40, max_size=40))
def test_an_answer_that_goes_on_long_enough_is_what_the_client_has(steps: Steps, end: str) -> None:
    steps = [*steps, ("+", end)]

    shown = "".join(sent(steps)).split("\n\n")[-1]

    assert shown == answer(steps)


@given(STEPS)
def test_nothing_is_begun_anew_while_each_answer_agrees_with_what_was_sent(steps: Steps) -> None:
    had = ""
    text = AppendOnly()
    now = ""
    for op, t in steps:
        now = now + t if op == "+" else t
        new = text.append(t) if op == "+" else text.replace(t)
        agrees = now.startswith(had) or had.startswith(now)

        assert new.startswith("\n\n") != agrees
        had = had + new if agrees else now
