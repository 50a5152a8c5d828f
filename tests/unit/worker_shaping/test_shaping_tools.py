"""Tools for bots that know of none."""

from __future__ import annotations

import json
from typing import Any

import msgspec
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
    Tool,
    ToolCall,
    ToolCallDelta,
)
from tests.unit.worker_shaping.answers import CUTS, Seen, pieces_of, read, shaping
from worker.shaping import Mismatch, grammar
from worker.shaping.emulation import new_call_id

SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "text": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "mode": {"type": "integer"},
        "deep": {"$ref": "#/$defs/deep"},
        "either": {"type": ["string", "integer"]},
        "any": {},
    },
    "$defs": {"deep": {"type": "object"}},
}
WRITE = Tool("write", "Writes a file.", SCHEMA)
NOW = Tool("now")
OPTIONS = Options(tools=(WRITE, NOW))


def answered(text: str, options: Options = OPTIONS, cuts: list[int] | None = None) -> Seen:
    shaped = shaping(options, emulate_tools=True)
    out = [e for piece in pieces_of(text, cuts or []) for e in shaped.feed([piece])]
    return read(out + shaped.feed([Finished()]))


def call(body: str, name: str = "write") -> str:
    return f'<tool_call name="{name}">{body}</tool_call>'


def arguments(text: str, options: Options = OPTIONS) -> Any:
    (one,) = answered(text, options).calls
    return json.loads(one[2])


def test_a_call_becomes_a_tool_call() -> None:
    text = 'I write it.\n\n<tool_call name="write">\n<arg name="path">a.txt</arg>\n</tool_call>\n'

    assert answered(text) == Seen(
        "I write it.", calls=[("call_1", "write", '{"path":"a.txt"}')], end="tool_calls"
    )


@pytest.mark.parametrize(
    ("body", "value"),
    [
        pytest.param('<arg name="path">42</arg>', {"path": "42"}, id="a string of digits"),
        pytest.param('<arg name="mode">42</arg>', {"mode": 42}, id="a number"),
        pytest.param('<arg name="mode">\n42\n</arg>', {"mode": 42}, id="a number on its own line"),
        pytest.param('<arg name="text">null</arg>', {"text": None}, id="null where it may be"),
        pytest.param('<arg name="text">42</arg>', {"text": "42"}, id="a string or null"),
        pytest.param('<arg name="text">"a"</arg>', {"text": '"a"'}, id="quotes that are meant"),
        pytest.param('<arg name="either">42</arg>', {"either": 42}, id="a string or a number"),
        pytest.param('<arg name="either">x</arg>', {"either": "x"}, id="or a string"),
        pytest.param('<arg name="deep">{"a": [1]}</arg>', {"deep": {"a": [1]}}, id="an object"),
        pytest.param('<arg name="any">[1]</arg>', {"any": [1]}, id="JSON of no known type"),
        pytest.param('<arg name="new">it is</arg>', {"new": "it is"}, id="unknown argument"),
        pytest.param('<arg name="path">\na\n\nb\n</arg>', {"path": "a\n\nb"}, id="lines"),
        pytest.param('<arg name="path"></arg>', {"path": ""}, id="an empty string"),
        pytest.param('<arg name="path"> a </arg>', {"path": " a "}, id="spaces are the string's"),
        pytest.param(
            '<arg name="path">a</arg> b <arg> </tool_call> c</arg>',
            {"path": "a</arg> b <arg> </tool_call> c"},
            id="marks within a string",
        ),
        pytest.param(
            '<arg name="path" type="json">"\\u003c/arg>"</arg>', {"path": "</arg>"}, id="JSON"
        ),
        pytest.param("<arg name='path'>a</arg>", {"path": "a"}, id="single quotes"),
        pytest.param('\n<arg  name = "path" >a</arg>\n\n', {"path": "a"}, id="spaces in marks"),
        pytest.param('\n```xml\n<arg name="path">a</arg>\n```\n', {"path": "a"}, id="a fence"),
        pytest.param('{"path": "</tool_call>"}', {"path": "</tool_call>"}, id="a JSON body"),
        pytest.param('\n```json\n{"path": "a"}\n```\n', {"path": "a"}, id="fenced JSON"),
        pytest.param("", {}, id="no arguments"),
    ],
)
def test_arguments_have_the_types_of_the_schema(body: str, value: object) -> None:
    assert arguments(call(body)) == value


def test_the_form_that_open_models_are_trained_on_is_read() -> None:
    text = '<tool_call>\n{"name": "write", "arguments": {"path": "a"}}\n</tool_call>'

    assert answered(text).calls == [("call_1", "write", '{"path":"a"}')]


def test_a_call_without_a_body_is_read() -> None:
    assert answered('<tool_call name="now"/>').calls == [("call_1", "now", "{}")]


@pytest.mark.parametrize(
    "text",
    [
        "Both:\n\n{a}\n{b}\n",
        "Both:\n<tool_calls>\n{a}\n\n{b}\n</tool_calls>",
        "Both:\n```xml\n{a}\n{b}\n```",
        "Both:\n```\n{a}\n```\n```xml\n{b}\n```\n",
        "Both: {a}{b}",
    ],
)
def test_several_calls_are_read_and_no_mark_is_shown(text: str) -> None:
    seen = answered(text.format(a=call("", "now"), b=call("", "write")))

    assert seen.text == "Both:"
    assert [name for _, name, _ in seen.calls] == ["now", "write"]


def test_a_block_of_code_before_a_call_stays_whole() -> None:
    seen = answered("See:\n```py\nx\n```\n" + call("", "now"))

    assert seen.text == "See:\n```py\nx\n```"


def test_an_answer_ends_at_once_behind_its_calls() -> None:
    shaped = shaping(OPTIONS, emulate_tools=True)

    out = shaped.feed([Text(call("", "now") + "\n<tool_result>42")])

    assert read(out).end == "tool_calls"
    assert shaped.feed([Text("7"), Finished()]) == []


def test_one_call_is_enough_where_calls_may_not_be_parallel() -> None:
    options = msgspec.structs.replace(OPTIONS, parallel_tool_calls=False)

    assert len(answered(call("", "now") * 2, options).calls) == 1


FRAGMENTS = [
    "<tool_call", ' name="write"', ">", "</tool_call>", '<arg name="path">', "</arg>", "<",
    "<tool_calls>", "</tool_calls>", "\n", "```", "```xml\n", " ", "a", "/>", "{}",
    call("", "now"), call('<arg name="path">x</arg>'), call('<arg name="mode">1</arg>'),
]  # fmt: skip


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=10).map("".join), CUTS)
def test_where_the_network_cuts_makes_no_difference_to_calls(text: str, cuts: list[int]) -> None:
    def outcome(cuts: list[int]) -> Seen | str:
        try:
            return answered(text, cuts=cuts)
        except Mismatch as mismatch:
            return mismatch.reason

    assert outcome(cuts) == outcome([])


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=10).map("".join), CUTS)
def test_no_mark_is_ever_shown(text: str, cuts: list[int]) -> None:
    shaped = shaping(OPTIONS, emulate_tools=True)
    shown = ""
    try:
        for piece in [*pieces_of(text, cuts), Finished()]:
            shown += "".join(e.text for e in shaped.feed([piece]) if isinstance(e, Text))
    except Mismatch:
        pass

    assert "<tool_call " not in shown
    assert "<tool_call>" not in shown
    assert "<tool_calls>" not in shown


@given(st.text(alphabet="<to_cal> \n`a/", max_size=40), CUTS)
def test_no_word_of_an_answer_without_calls_is_lost(text: str, cuts: list[int]) -> None:
    if "<tool_call" not in text:
        assert answered(text, cuts=cuts) == Seen(text, end="stop")


NAMES = st.sampled_from(["path", "text", "mode", "deep", "either", "any", 'a"b<c>'])
STRINGS = st.lists(
    st.sampled_from(
        ["</arg>", "</tool_call>", '<arg name="x">', "\n", '"', "\\", "42", "é", "a", " "]
    ),
    max_size=6,
).map("".join)
VALUES = STRINGS | st.none() | st.booleans() | st.integers(-9, 9) | st.lists(STRINGS, max_size=2)


@given(st.dictionaries(NAMES, VALUES, max_size=4), CUTS)
def test_what_is_written_of_a_call_is_read_as_that_call(
    given_arguments: dict[str, Any], cuts: list[int]
) -> None:
    past = ToolCall("call_0", "write", json.dumps(given_arguments))
    written = grammar.write(past, {"write": WRITE})

    ((_, name, read_arguments),) = answered(written, cuts=cuts).calls

    assert name == "write"
    assert json.loads(read_arguments) == given_arguments


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (call("", "delete"), "There is no tool 'delete' that may be called."),
        (call("path=a"), "not usable"),
        ('<tool_call name="write"><arg name="path">a', "not usable"),
        ("<tool_calls>later", "not usable"),
        (call('<arg name="mode">many</arg>'), "argument 'mode' of 'write' is not JSON"),
        (f"<tool_call {'x' * 2000}", "not usable"),
        (call("x" + "</tool_call>" * 200), "not usable"),
    ],
)
def test_a_call_that_cannot_be_made_is_a_mismatch(text: str, reason: str) -> None:
    with pytest.raises(Mismatch) as caught:
        answered(text)

    assert reason in caught.value.reason
    assert caught.value.answer == text


def test_a_call_that_was_cut_by_the_length_is_left_out() -> None:
    shaped = shaping(OPTIONS, emulate_tools=True)
    out = shaped.feed([Text('Now.\n<tool_call name="wri'), Finished("length")])

    assert read(out) == Seen("Now.", end="length")


def test_a_call_that_an_attempt_fails_in_is_not_shown() -> None:
    shaped = shaping(OPTIONS, emulate_tools=True)
    shaped.feed([Text('Now.\n<tool_call name="wri')])

    assert shaped.flush() == []


def test_a_required_call_is_asked_for_before_anything_is_sent() -> None:
    options = msgspec.structs.replace(OPTIONS, tool_choice="required")
    shaped = shaping(options, emulate_tools=True)

    assert shaped.feed([Text("I would rather not.")]) == []
    with pytest.raises(Mismatch, match="No tool was called"):
        shaped.feed([Finished()])


def test_only_the_tool_that_was_named_may_be_called() -> None:
    options = msgspec.structs.replace(OPTIONS, tool_choice="required", tool_name="now")

    assert answered("x" + call("", "now"), options).text == "x"
    with pytest.raises(Mismatch, match="no tool 'write'"):
        answered(call(""), options)


def test_no_tool_may_be_called_where_none_was_chosen() -> None:
    options = msgspec.structs.replace(OPTIONS, tool_choice="none")

    with pytest.raises(Mismatch, match="no tool 'now'"):
        answered(call("", "now"), options)


def test_a_replaced_text_is_read_anew() -> None:
    shaped = shaping(OPTIONS, emulate_tools=True)
    out = shaped.feed([Text("Draft <tool_call "), Replaced(f"Now: {call('', 'now')}"), Finished()])

    assert read(out) == Seen("Now:", calls=[("call_1", "now", "{}")], end="tool_calls")


def test_thoughts_may_speak_of_calls() -> None:
    shaped = shaping(OPTIONS, emulate_tools=True, thinks=True)
    out = shaped.feed([Text(f"<think>{call('', 'now')}</think>ok"), Finished()])

    assert read(out) == Seen("ok", call("", "now"), end="stop")


STRICT = Options(tools=(msgspec.structs.replace(WRITE, strict=True), NOW))


def test_the_arguments_of_a_strict_tool_must_match() -> None:
    assert arguments(call('{"mode": 1}'), STRICT) == {"mode": 1}
    with pytest.raises(Mismatch, match="do not match its schema: at mode"):
        answered(call('{"mode": "1"}'), STRICT)


def native(*deltas: Event, end: Event) -> list[Event]:
    return shaping(STRICT).feed([*deltas, end])


def test_a_strict_tool_that_the_upstream_calls_must_match_too() -> None:
    good = [ToolCallDelta(0, "1", "write", '{"mo'), ToolCallDelta(0, arguments='de": 1}')]
    bad = [ToolCallDelta(0, "1", "write", '{"mo'), ToolCallDelta(0, arguments='de": "1"}')]
    end = Finished("tool_calls")

    assert native(*good, end=end) == [*good, end]
    with pytest.raises(Mismatch, match="at mode"):
        native(*bad, end=end)
    with pytest.raises(Mismatch, match="not JSON"):
        native(bad[0], end=end)
    assert native(bad[0], end=Finished("length")) == [bad[0], Finished("length")]


def test_text_beside_strict_tools_does_not_wait() -> None:
    shaped = shaping(STRICT)

    assert shaped.feed([Reasoning("hm"), Text("Hello")]) == [Reasoning("hm"), Text("Hello")]


def test_calls_of_tools_that_are_not_strict_do_not_wait() -> None:
    delta = ToolCallDelta(0, "1", "now", "not JSON")

    assert shaping(OPTIONS).feed([delta]) == [delta]


def test_ids_look_like_openais_and_differ() -> None:
    ids = {new_call_id() for _ in range(10)}

    assert len(ids) == 10
    assert all(len(one) == 29 and one.startswith("call_") for one in ids)


STRICT = Options(tools=(msgspec.structs.replace(WRITE, strict=True),))
WRONG = ToolCallDelta(0, "c", "write", '{"mode": "x"}')


def test_words_that_came_with_a_mismatch_are_due_before_it() -> None:
    shaped = shaping(msgspec.structs.replace(STRICT, stop=("one. No",)))

    with pytest.raises(Mismatch) as caught:
        shaped.feed([Text("First on"), WRONG, Text("e. N"), Finished()])

    assert read(list(caught.value.due)).text == "First one. N"
    assert shaped.flush() == []


def test_an_answer_that_is_over_before_its_call_is_no_mismatch_however_it_was_cut() -> None:
    shaped = shaping(msgspec.structs.replace(STRICT, stop=("END",)))

    assert shaped.feed([Text("first END then"), WRONG, Finished()]) == [
        Text("first "),
        Finished("stop", "END"),
    ]


def test_what_was_withheld_for_a_required_call_is_due_when_there_is_none() -> None:
    required = Options(tools=(WRITE,), tool_choice="required")
    shaped = shaping(required, emulate_tools=True)

    with pytest.raises(Mismatch) as caught:
        shaped.feed([Text("I need a name. "), Finished()])

    assert read(list(caught.value.due)).text == "I need a name. "


def test_a_fence_is_taken_off_in_time_that_grows_with_its_length_only() -> None:
    body = "```" + "\n" * 20_000 + "x"

    assert grammar.read(body, ' name="now"', {"now": NOW}) is None
    assert grammar.read("```json \n\n{}\n\n ```", ' name="now"', {}) == grammar.WrittenCall(
        "now", {}
    )
    assert grammar.read("```\n{} ```", ' name="now"', {}) is None


def test_a_call_of_megabytes_is_not_read_again_for_each_end_within_it() -> None:
    body = '{"text": "' + "x" * 1_500_000 + "</tool_call>" * 50

    with pytest.raises(Mismatch, match="a tool call could not be read"):
        answered(f'<tool_call name="now">{body}', cuts=[])


def test_the_calls_of_an_answer_and_their_arguments_are_bounded() -> None:
    arguments = "".join(f'<arg name="a{n}">1</arg>' for n in range(257))

    with pytest.raises(Mismatch, match="more than 256 arguments"):
        answered(call(arguments))
    with pytest.raises(Mismatch, match="more than 128 calls"):
        answered(call("", "now") * 129)
    assert len(answered(call("", "now") * 128).calls) == 128
