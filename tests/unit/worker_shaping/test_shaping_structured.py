"""An answer that must be one JSON object."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.messages import (
    Event,
    Finished,
    Format,
    Options,
    Reasoning,
    Refusal,
    Replaced,
    Text,
    Tool,
    ToolCallDelta,
    Usage,
)
from tests.unit.worker_shaping.answers import CUTS, Seen, pieces_of, read, shaping
from worker.shaping import Mismatch

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}},
    "required": ["city", "degrees"],
    "additionalProperties": False,
}
OBJECT = Options(format=Format())
WEATHER = Options(format=Format("weather", SCHEMA))
ANSWER = '{"city": "Paris",  "degrees": 21}'


def answered(text: str, options: Options = WEATHER) -> str:
    seen = read(shaping(options).feed([Text(text), Finished()]))
    assert seen.end == "stop"
    return seen.text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ANSWER, id="as asked"),
        pytest.param(f"\n{ANSWER}\n", id="lines around it"),
        pytest.param(f"```json\n{ANSWER}\n```", id="a fence"),
        pytest.param(
            f"Here it is:\n\n```\n{ANSWER}\n```\nI hope it helps.", id="a fence and words"
        ),
        pytest.param(f"In {{curly}} words: {ANSWER}!", id="words with braces"),
        pytest.param(f'<think>Maybe {{"draft": 1}}?</think>{ANSWER}', id="thoughts"),
        pytest.param(f"<think>{ANSWER}? Yes.</think>\n{ANSWER}", id="the same in the thoughts"),
        pytest.param(f"Maybe {ANSWER}?\n</think>\n\n{ANSWER}", id="thoughts without a beginning"),
        pytest.param(f"<thought>Maybe {{}}, {ANSWER[:-3]}20}}</thought>{ANSWER}", id="a thought"),
        pytest.param(f"◁think▷{ANSWER[:-3]}20}}?◁/think▷{ANSWER}", id="thoughts of Kimi's"),
        pytest.param(f"Thinking...\n\n> {ANSWER[:-3]}20}}?\n\n{ANSWER}", id="a bare quote"),
        pytest.param(f"{ANSWER}\n\n{ANSWER}", id="twice"),
        pytest.param(f"{ANSWER}: `{ANSWER.replace(' ', '')}`", id="twice, written otherwise"),
        pytest.param(f'Not {{"city": 5}} or {{}}. {ANSWER}', id="objects that do not match before"),
        pytest.param(f'{ANSWER} {{"note": "I hope it helps"}}', id="and one that does not behind"),
    ],
)
def test_the_text_of_the_object_is_sent_as_the_model_wrote_it(text: str) -> None:
    assert answered(text) == ANSWER


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("It is 21 degrees.", "is not a JSON object"),
        ('{"city": "Par', "is not a JSON object"),
        ("[1, 2]", "is not a JSON object"),
        ('{"city": "a", "degrees": NaN}', "is not a JSON object"),
        ("", "is not a JSON object"),
        ("{" * 100_000, "is not a JSON object"),
        ('{"a":' * 100_000, "is not a JSON object"),
        (f"{ANSWER} or {ANSWER.replace('21', '22')}", "several JSON objects"),
        ('{"city": "Paris"} {}', "several JSON objects, not one. The answer does not match"),
        (f'Maybe {ANSWER}?</think>{{"city": 5}}', "does not match"),
        ('{"city": "Paris"}', '"degrees" is a required property'),
        ('{"city": "Paris", "degrees": "21"}', 'at degrees: "21" is not of type "integer"'),
    ],
)
def test_an_answer_of_another_form_is_a_mismatch(text: str, reason: str) -> None:
    with pytest.raises(Mismatch) as caught:
        answered(text)

    assert reason in caught.value.reason
    assert caught.value.answer == text


def test_objects_that_only_python_takes_for_equal_are_several() -> None:
    with pytest.raises(Mismatch, match="several JSON objects"):
        answered('{"a": 1} {"a": true}', OBJECT)


def test_any_object_will_do_without_a_schema() -> None:
    assert answered('Sure: {"a": {"b": 1}}', OBJECT) == '{"a": {"b": 1}}'
    assert answered('Maybe {}?</think>{"a": 1}', OBJECT) == '{"a": 1}'
    assert answered('{"a": "</think>{}"}', OBJECT) == '{"a": "</think>{}"}'
    with pytest.raises(Mismatch):
        answered("[]", OBJECT)


def test_without_a_schema_the_answer_is_due_though_it_is_no_object() -> None:
    thoughts = [Reasoning("hm"), Usage(1, 2)]

    with pytest.raises(Mismatch) as caught:
        shaping(OBJECT).feed([*thoughts, Text("[1, 2]"), Finished()])

    assert caught.value.end == [*thoughts, Text("[1, 2]"), Finished("stop")]


def test_with_a_schema_a_refusal_is_due() -> None:
    with pytest.raises(Mismatch) as caught:
        shaping(WEATHER).feed([Text("[1, 2]"), Finished()])

    assert caught.value.end == [Refusal("The answer is not a JSON object."), Finished("stop")]


@given(CUTS)
def test_nothing_is_sent_before_the_answer_is_whole(cuts: list[int]) -> None:
    shaped = shaping(WEATHER, thinks=True)
    before = [Reasoning("hm"), *pieces_of(f"<think>so</think>{ANSWER}", cuts), Usage(1, 2)]

    assert [e for event in before for e in shaped.feed([event])] == []
    assert read(shaped.feed([Finished()])) == Seen(ANSWER, "hmso", end="stop")


def test_a_replaced_answer_counts_alone() -> None:
    out = shaping(WEATHER).feed([Text("Draft"), Replaced(ANSWER[:9]), Text(ANSWER[9:]), Finished()])

    assert out == [Text(ANSWER), Finished()]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_an_answer_that_was_cut_is_sent_as_it_is(reason: str) -> None:
    end = Finished(reason)  # type: ignore[arg-type]

    assert shaping(WEATHER).feed([Text('{"city": "Par'), end]) == [Text('{"city": "Par'), end]


def test_an_answer_that_is_cut_here_is_sent_as_it_is() -> None:
    options = Options(format=Format(), max_tokens=2)

    out = shaping(options).feed([Text('{"city": "Paris"}'), Finished()])

    assert out == [Text('{"city":'), Finished("length")]


def test_an_answer_that_calls_tools_need_not_be_an_object_yet() -> None:
    events: list[Event] = [Text("Wait."), ToolCallDelta(0, "1", "f", "{}"), Finished("tool_calls")]
    tool = Tool("f")

    assert read(shaping(WEATHER).feed(events)).calls == [("1", "f", "{}")]
    emulated = shaping(Options(format=Format(), tools=(tool,)), emulate_tools=True)
    out = emulated.feed([Text('Wait.<tool_call name="f"></tool_call>'), Finished()])
    assert read(out) == Seen("Wait.", calls=[("call_1", "f", "{}")], end="tool_calls")


def test_what_was_held_is_given_up_when_the_attempt_fails() -> None:
    shaped = shaping(WEATHER)
    shaped.feed([Reasoning("hm"), Text('{"city"')])

    assert shaped.flush() == [Reasoning("hm"), Text('{"city"')]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text('a"{}\\é`', max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("a{}", max_size=3), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.text('a"', max_size=3), VALUES, max_size=3), st.sampled_from([None, 2]))
def test_any_object_comes_through_unchanged(value: dict[str, object], indent: int | None) -> None:

    text = json.dumps(value, indent=indent)

    assert answered(f"Here:\n```json\n{text}\n```\n", OBJECT) == text
