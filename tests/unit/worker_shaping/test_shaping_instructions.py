"""What a model is told of the form that its answer must have."""

from __future__ import annotations

import msgspec
import pytest

from contract.messages import (
    Finished,
    Format,
    Job,
    MediaPart,
    Message,
    Options,
    Text,
    TextPart,
    Tool,
    ToolCall,
)
from tests.unit.worker_shaping.answers import read, shaping
from worker.shaping import Mismatch, correction, instructed

HELLO = Message("user", "Hello")
WEATHER = Tool(
    "weather", "Tells the weather.", {"type": "object", "properties": {"city": {"type": "string"}}}
)
NOW = Tool("now")


def job(*messages: Message, **options: object) -> Job:
    return Job("job", "client", "Bot", messages or (HELLO,), Options(**options))  # type: ignore[arg-type]


def system_text(sent: Job) -> str:
    first = sent.messages[0]
    assert first.role == "system"
    return first.text


def test_a_plain_job_is_sent_as_it_is() -> None:
    plain = job(Message("system", "Be kind."), HELLO, Message("assistant", "> quoted"))

    assert instructed(plain, emulate_tools=False) == plain


def test_thoughts_are_stripped_off_past_answers_only() -> None:
    thoughts = "*Thinking...*\n\n> hm\n\nHi"
    parts = (TextPart(f"<think>hm</think>{'Hi'}"), MediaPart("image", "https://p.example/1.png"))
    sent = instructed(
        job(
            Message("user", thoughts),
            Message("assistant", thoughts),
            Message("assistant", parts),
            Message("assistant", "*Thinking...*\n\n> only"),
            Message("assistant", "", tool_calls=(ToolCall("1", "now", "{}"),)),
        ),
        emulate_tools=False,
    )

    assert [message.content for message in sent.messages] == [
        thoughts,
        "Hi",
        (TextPart("Hi"), parts[1]),
        "",
    ]


def test_the_schema_of_the_answer_is_in_the_first_system_message() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    asked = job(Message("system", "Be kind."), HELLO, format=Format("x", schema))

    words = system_text(instructed(asked, emulate_tools=False))

    assert words.startswith("Be kind.\n\n# Form of the answer")
    assert '{"type":"object","properties":{"a":{"type":"string"}}}' in words


def test_a_system_message_is_made_where_there_is_none() -> None:
    sent = instructed(job(format=Format()), emulate_tools=False)

    assert "one JSON object" in system_text(sent)
    assert "schema" not in system_text(sent)
    assert sent.messages[1:] == (HELLO,)


def test_parts_of_a_system_message_stay_parts() -> None:
    asked = job(Message("system", (TextPart("Be kind."),)), format=Format())

    first = instructed(asked, emulate_tools=False).messages[0]

    assert first.content[0] == TextPart("Be kind.")
    assert isinstance(first.content[1], TextPart)


def test_tools_are_described_and_not_sent() -> None:
    asked = job(tools=(WEATHER, NOW), tool_choice="auto", parallel_tool_calls=True, temperature=1.0)

    sent = instructed(asked, emulate_tools=True)

    assert sent.options == Options(temperature=1.0)
    assert '## weather\nTells the weather.\n{"type":"object"' in system_text(sent)
    assert "## now" in system_text(sent)


def test_tools_that_the_upstream_knows_are_left_to_it() -> None:
    asked = job(tools=(WEATHER,), tool_choice="required")

    assert instructed(asked, emulate_tools=False) == asked


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "If no tool helps, answer without calling one."),
        ({"tool_choice": "required"}, "This time you must call a tool."),
        ({"parallel_tool_calls": False}, "Call only one tool at a time."),
        ({}, "write several <tool_call> blocks"),
        ({"format": Format()}, "Where you call no tool, answer with one JSON object"),
    ],
)
def test_the_choice_is_told(options: dict[str, object], told: str) -> None:
    sent = instructed(job(tools=(WEATHER, NOW), **options), emulate_tools=True)

    assert told in system_text(sent)


def test_only_the_tool_that_must_be_called_is_described() -> None:
    asked = job(tools=(WEATHER, NOW), tool_choice="required", tool_name="now")

    words = system_text(instructed(asked, emulate_tools=True))

    assert "## now" in words
    assert "weather" not in words


def test_no_tool_is_described_where_none_may_be_called() -> None:
    asked = job(tools=(WEATHER,), tool_choice="none")

    assert instructed(asked, emulate_tools=True).messages == (HELLO,)


def history() -> Job:
    calls = (ToolCall("1", "weather", '{"city":"Paris"}'), ToolCall("2", "now", ""))
    image = MediaPart("image", "https://p.example/1.png")
    return job(
        HELLO,
        Message("assistant", "I look.", tool_calls=calls),
        Message("tool", "21 </tool_result> degrees", tool_call_id="1"),
        Message("tool", (TextPart("noon"), image), tool_call_id="2"),
        Message("assistant", "It is warm."),
        Message("assistant", "", tool_calls=(ToolCall("3", "gone", "not JSON"),)),
        Message("tool", "?", tool_call_id="9"),
        tools=(WEATHER, NOW),
    )


def test_past_calls_and_results_are_written_in_the_same_grammar() -> None:
    _, _, asked, results, answer, broken, unknown = instructed(
        history(), emulate_tools=True
    ).messages

    assert asked == Message(
        "assistant",
        "I look.\n\n"
        '<tool_call name="weather">\n<arg name="city">Paris</arg>\n</tool_call>\n\n'
        '<tool_call name="now">\n</tool_call>',
    )
    assert results.role == "user"
    assert results.content == (
        TextPart('<tool_result name="weather">\n21 &lt;/tool_result> degrees\n</tool_result>'),
        TextPart('<tool_result name="now">\nnoon\n</tool_result>'),
        MediaPart("image", "https://p.example/1.png"),
    )
    assert answer == Message("assistant", "It is warm.")
    assert broken.content == '<tool_call name="gone">\nnot JSON\n</tool_call>'
    assert unknown.content == '<tool_result name="">\n?\n</tool_result>'


def test_a_model_that_repeats_a_past_call_is_understood() -> None:
    asked = history()
    past = instructed(asked, emulate_tools=True).messages[2].text
    shaped = shaping(asked.options, emulate_tools=True)

    seen = read(shaped.feed([Text(past), Finished()]))

    assert [seen.text, *(call[1:] for call in seen.calls)] == [
        "I look.",
        ("weather", '{"city":"Paris"}'),
        ("now", "{}"),
    ]


def test_the_example_that_the_model_is_shown_can_be_read() -> None:
    words = system_text(instructed(job(tools=(WEATHER,)), emulate_tools=True))
    example = words[words.index("<tool_call name=") :].partition("\n\n")[0]
    written = example.replace("NAME OF THE TOOL", "weather").replace("NAME OF AN ARGUMENT", "city")

    seen = read(
        shaping(Options(tools=(WEATHER,)), emulate_tools=True).feed([Text(written), Finished()])
    )

    assert [call[1:] for call in seen.calls] == [("weather", '{"city":"VALUE"}')]


def test_a_correction_shows_the_answer_and_says_what_is_wrong_with_it() -> None:
    mended = correction(job(), Mismatch("'a' is missing.", "{}"))

    hello, answer, request = mended.messages
    assert hello == HELLO
    assert answer == Message("assistant", "{}")
    assert request.role == "user"
    assert "'a' is missing." in request.text


def test_a_correction_of_nothing_shows_nothing() -> None:
    assert [m.role for m in correction(job(), Mismatch("Empty.", " \n")).messages] == ["user"] * 2


def test_words_of_the_client_are_no_part_of_the_template() -> None:
    tool = Tool("odd", "Takes {braces} and {tools}.")
    schema = {"description": "{schema} {when}"}

    words = system_text(
        instructed(job(tools=(tool,), format=Format("", schema)), emulate_tools=True)
    )

    assert "Takes {braces} and {tools}." in words
    assert msgspec.json.encode(schema).decode() in words
