import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import (
    Event,
    Message,
    Reasoning,
    Replaced,
    Text,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from gateway.openai.usage import TokenCounter, UsageMeter, estimate_prompt, estimate_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param("", 0, id="nothing"),
        pytest.param("a", 1, id="a letter"),
        pytest.param("a" * 8, 2, id="English"),
        pytest.param("你好吗", 3, id="Chinese"),
        pytest.param("привет", 4, id="Russian"),
        pytest.param("abcd你好", 3, id="mixed"),
        pytest.param("😀", 2, id="an emoji"),
    ],
)
def test_tokens_are_guessed_from_bytes(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.lists(st.text()))
def test_a_text_counts_the_same_however_it_is_cut(pieces: list[str]) -> None:
    counter = TokenCounter()
    for piece in pieces:
        counter.add(piece)

    assert counter.tokens == estimate_tokens("".join(pieces))


@given(st.text(st.characters(), min_size=1))
def test_a_text_is_never_nothing(text: str) -> None:
    assert 1 <= estimate_tokens(text) <= 2 * len(text)


def test_a_conversation_counts_its_framing_and_its_calls() -> None:
    messages = [
        Message("user", "a" * 40),
        Message("assistant", "", tool_calls=(ToolCall("1", "abcd", "efgh"),)),
    ]

    assert estimate_prompt(messages) == 3 + 2 * 3 + 10 + 2


@pytest.mark.parametrize(
    ("events", "usage"),
    [
        pytest.param([Text("a" * 8), Reasoning("b" * 4)], Usage(7, 3), id="all that is said"),
        pytest.param([Text("a" * 80), Replaced("a" * 4)], Usage(7, 1), id="void text is free"),
        pytest.param([ToolCallDelta(0, "1", "abcd", "efgh")], Usage(7, 2), id="a call"),
        pytest.param([Text("a" * 80), Usage(1, 2)], Usage(1, 2), id="the upstream knows best"),
    ],
)
def test_an_answer_is_counted(events: list[Event], usage: Usage) -> None:
    meter = UsageMeter(7)
    for event in events:
        meter.observe(event)

    assert meter.usage == usage
