import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import (
    Event,
    MediaPart,
    Message,
    Reasoning,
    Refusal,
    Replaced,
    Text,
    TextPart,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from contract.token_estimate import TokenCounter, estimate_tokens
from gateway.openai.usage import usage_of
from gateway.render.usage import UsageMeter, estimate_prompt, total


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
    ("part", "tokens"),
    [
        pytest.param(MediaPart("image", "https://x"), 765, id="an image"),
        pytest.param(MediaPart("image", "https://x", detail="high"), 765, id="in detail"),
        pytest.param(MediaPart("image", "https://x", detail="low"), 85, id="at low detail"),
        pytest.param(MediaPart("file", "data:," + "x" * 10_000), 765, id="any other file"),
    ],
)
def test_a_file_counts_the_same_whatever_is_in_it(part: MediaPart, tokens: int) -> None:
    messages = [Message("user", (TextPart("a" * 40), part))]

    assert estimate_prompt(messages) == 3 + 3 + 10 + tokens


def test_tools_count_with_their_schemas() -> None:
    short = estimate_prompt([], [Tool("f")])
    long = estimate_prompt([], [Tool("f", "x" * 400, {"type": "object"})])

    assert 3 < short < 20
    assert long > short + 100


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        pytest.param([], (7, 2, True), id="by estimate"),
        pytest.param([0], (9, 6, True), id="in part by the upstream"),
        pytest.param([0, 1], (9, 10, False), id="by the upstream"),
    ],
)
def test_a_prompt_counts_once_and_estimates_are_marked(
    told: list[int], usage: tuple[int, int, bool]
) -> None:
    meters = [UsageMeter(lambda: 7), UsageMeter(lambda: 7)]
    for choice, meter in enumerate(meters):
        meter.observe(Text("abcd"))
        if choice in told:
            meter.observe(Usage(9, 5))

    assert total(meters) == usage
    prompt, completion, estimated = usage
    fields = usage_of(meters)
    assert fields["prompt_tokens"] == prompt
    assert fields["completion_tokens"] == completion
    assert fields["total_tokens"] == prompt + completion
    assert ("estimated" in fields) == estimated


def test_what_the_upstream_counts_is_not_estimated() -> None:
    def estimate() -> int:
        raise AssertionError("nobody is shown this")

    meter = UsageMeter(estimate)
    meter.observe(Usage(9, 5))

    assert meter.usage == Usage(9, 5)


@pytest.mark.parametrize(
    ("events", "usage"),
    [
        pytest.param([Text("a" * 8), Reasoning("b" * 4)], Usage(7, 3), id="all that is said"),
        pytest.param([Text("a" * 80), Replaced("a" * 4)], Usage(7, 1), id="void text is free"),
        pytest.param([Refusal("abcd")], Usage(7, 1), id="a refusal"),
        pytest.param([ToolCallDelta(0, "1", "abcd", "efgh")], Usage(7, 2), id="a call"),
        pytest.param([Text("a" * 80), Usage(1, 2)], Usage(1, 2), id="the upstream knows best"),
    ],
)
def test_an_answer_is_counted(events: list[Event], usage: Usage) -> None:
    meter = UsageMeter(lambda: 7)
    for event in events:
        meter.observe(event)

    assert meter.usage == usage
