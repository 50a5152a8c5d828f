"""Jobs as bodies of POST /v1/responses."""

from __future__ import annotations

from typing import Any

import pytest

from contract.messages import (
    Format,
    Job,
    MediaPart,
    Message,
    Model,
    Options,
    TextPart,
    Tool,
    ToolCall,
)
from worker.poe.faults import Fault, FaultKind
from worker.poe.upstream import Ask
from worker.responses.request import body_of, can_say, refused

HI = (Message("user", "Hi"),)
PLAIN = Options()
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}
STRICT = OPEN | {"required": ["a"], "additionalProperties": False}
LEVELS = {"reasoning_effort": {"enum": ["none", "low", "medium", "high", "xhigh"]}}
GPT = Model("m", 0, "", parameters=LEVELS, reasons=True)
CLAUDE = Model("m", 0, "", parameters={"output_effort": {"enum": ["low", "max"]}}, reasons=True)
PLAINEST = Model("m", 0, "")
IMAGE = MediaPart("image", "data:image/png;base64,aa", detail="low")
PDF = MediaPart("file", "data:application/pdf;base64,aa", name="a.pdf")


def job(*messages: Message, **options: Any) -> Job:
    return Job("j", "c", "Bot", messages or HI, Options(**options))


def body_for(
    asked: Job, model: Model | None = None, *, without: frozenset[tuple[str, ...]] = frozenset()
) -> dict[str, Any]:
    return body_of(Ask(asked, model, without=without))


def test_a_plain_question_is_one_message_and_is_not_stored() -> None:
    assert body_for(job()) == {
        "model": "Bot",
        "input": [{"type": "message", "role": "user", "content": "Hi"}],
        "stream": True,
        "store": False,
    }


def test_instructions_are_part_of_the_input() -> None:
    body = body_for(job(Message("system", "Be brief."), *HI))

    assert [(item["role"], item["content"]) for item in body["input"]] == [
        ("system", "Be brief."),
        ("user", "Hi"),
    ]
    assert "instructions" not in body


def test_a_round_of_tools_is_a_row_of_items() -> None:
    calls = (ToolCall("c1", "look", '{"a":1}'), ToolCall("c2", "wait", ""))
    result = Message("tool", (TextPart("one"), TextPart("two")), tool_call_id="c2")

    body = body_for(
        job(Message("assistant", "I look.", tool_calls=calls), result),
    )

    assert body["input"] == [
        {"type": "message", "role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a":1}'},
        {"type": "function_call", "call_id": "c2", "name": "wait", "arguments": ""},
        {"type": "function_call_output", "call_id": "c2", "output": "one\ntwo"},
    ]


def test_a_call_without_words_is_no_message() -> None:
    body = body_for(job(Message("assistant", "", tool_calls=(ToolCall("c", "f", "{}"),))))

    assert [item["type"] for item in body["input"]] == ["function_call"]


def test_images_are_in_the_message() -> None:
    linked = MediaPart("image", "https://x/a.png")

    body = body_for(job(Message("user", (TextPart("See"), IMAGE, linked))))

    assert body["input"][0]["content"] == [
        {"type": "input_text", "text": "See"},
        {"type": "input_image", "image_url": IMAGE.url, "detail": "low"},
        {"type": "input_image", "image_url": "https://x/a.png"},
    ]


def test_files_are_sent_in_openais_form_where_nothing_else_is_left() -> None:
    linked = MediaPart("file", "https://x/a.pdf")

    body = body_for(job(Message("user", (PDF, linked))))

    assert body["input"][0]["content"] == [
        {"type": "input_file", "filename": "a.pdf", "file_data": PDF.url},
        {"type": "input_file", "file_url": "https://x/a.pdf"},
    ]


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        pytest.param(
            Format("a name", STRICT),
            {"type": "json_schema", "name": "a_name", "schema": STRICT, "strict": True},
            id="strict",
        ),
        pytest.param(
            Format("", OPEN),
            {"type": "json_schema", "name": "answer", "schema": OPEN, "strict": False},
            id="not strict",
        ),
        pytest.param(
            Format("n" * 80, OPEN | {"required": ["a"]}),
            {"type": "json_schema", "name": "n" * 64, "schema": STRICT, "strict": True},
            id="strict in all but a word",
        ),
        pytest.param(Format(), {"type": "json_object"}, id="any object"),
    ],
)
def test_the_form_has_a_field(wanted: Format, sent: dict[str, Any]) -> None:
    assert body_for(job(format=wanted))["text"] == {"format": sent}


def test_tools_say_whether_they_are_strict() -> None:
    tools = (Tool("a", "Looks.", STRICT, strict=True), Tool("b", "", OPEN, strict=True), Tool("c"))
    none = {"type": "object", "properties": {}}

    body = body_for(job(tools=tools, tool_choice="auto", parallel_tool_calls=False))

    assert body["tools"] == [
        {
            "type": "function",
            "name": "a",
            "description": "Looks.",
            "parameters": STRICT,
            "strict": True,
        },
        {"type": "function", "name": "b", "parameters": OPEN, "strict": False},
        {"type": "function", "name": "c", "parameters": none, "strict": False},
    ]
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("auto", False)


def test_a_tool_that_must_be_called_is_named() -> None:
    body = body_for(job(tools=(Tool("a"),), tool_choice="required", tool_name="a"))

    assert body["tool_choice"] == {"type": "function", "name": "a"}


@pytest.mark.parametrize(
    ("effort", "summary", "model", "reasoning"),
    [
        pytest.param("", "", GPT, None, id="nothing asked"),
        pytest.param("high", "", GPT, {"effort": "high", "summary": "auto"}, id="an effort"),
        pytest.param("max", "", GPT, {"effort": "xhigh", "summary": "auto"}, id="the nearest"),
        pytest.param("none", "", GPT, {"effort": "none"}, id="none"),
        pytest.param("low", "concise", GPT, {"effort": "low", "summary": "concise"}, id="both"),
        pytest.param("", "detailed", GPT, {"summary": "detailed"}, id="a summary"),
        pytest.param("max", "", CLAUDE, {"effort": "high", "summary": "auto"}, id="another knob"),
        pytest.param("high", "auto", PLAINEST, None, id="a model that does not think"),
        pytest.param("high", "", None, {"effort": "high", "summary": "auto"}, id="unknown"),
    ],
)
def test_thinking_is_asked_for_in_the_model_s_words(
    effort: str, summary: str, model: Model | None, reasoning: dict[str, str] | None
) -> None:
    body = body_for(job(reasoning_effort=effort, summary=summary), model)

    assert body.get("reasoning") == reasoning
    assert "reasoning_effort" not in body


@pytest.mark.parametrize(("asked", "sent"), [(None, None), (5, 16), (16, 16), (500, 500)])
def test_openais_models_take_no_less_than_16_tokens(asked: int | None, sent: int | None) -> None:
    assert body_for(job(max_tokens=asked)).get("max_output_tokens") == sent


def test_parameters_of_the_model_have_fields_or_a_tool() -> None:
    model = Model(
        "m",
        0,
        "",
        parameters={
            "verbosity": {"enum": ["low", "high"]},
            "web_search": {"type": "boolean"},
            "max_output_tokens": {"maximum": 100},
            "seed": {},
        },
    )
    extra = {"verbosity": "low", "web_search": True, "unknown": 1}

    body = body_for(job(extra=extra, max_tokens=500, top_p=0.5, temperature=1.0), model)

    assert body["text"] == {"verbosity": "low"}
    assert body["tools"] == [{"type": "web_search_preview"}]
    assert "tool_choice" not in body
    assert (body["max_output_tokens"], body["top_p"], body["temperature"]) == (100, 0.5, 1.0)
    assert "unknown" not in body


def test_a_value_that_the_model_does_not_admit_is_refused() -> None:
    model = Model("m", 0, "", parameters={"verbosity": {"enum": ["low", "high"]}})

    with pytest.raises(Fault, match="verbosity") as refused:
        body_for(job(extra={"verbosity": "loud"}), model)

    assert (refused.value.kind, refused.value.param) == (FaultKind.BAD_REQUEST, "verbosity")


def test_a_conversation_without_messages_is_refused() -> None:
    with pytest.raises(Fault, match="no messages"):
        body_for(Job("j", "c", "Bot", ()))


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ("Unsupported parameter: 'reasoning.summary' is not supported.", ("reasoning", "summary")),
        ("Unknown parameter: 'store'.", ("store",)),
        ("store: Extra inputs are not permitted", ("store",)),
        ("Unsupported parameter: 'temperature' is not supported with this model.", None),
        ("Unsupported parameter: 'text.format' is not supported with this model.", None),
        ("Unknown parameter: 'input[0].name'.", None),
        ("The word 'store' is in the way.", None),
    ],
)
def test_only_what_a_request_can_do_without_is_left_out(
    message: str, path: tuple[str, ...] | None
) -> None:
    assert refused(job(), message) == (frozenset({path}) if path else frozenset())


def test_what_was_refused_is_left_out() -> None:
    asked = job(reasoning_effort="low", format=Format(), tools=(Tool("a"),))
    without = frozenset({("store",), ("reasoning", "summary"), ("text", "verbosity"), ("x", "y")})

    body = body_for(asked, GPT, without=without)

    assert "store" not in body
    assert body["reasoning"] == {"effort": "low"}
    assert body["text"] == {"format": {"type": "json_object"}}
    assert "reasoning" not in body_for(
        asked, GPT, without=frozenset({("reasoning", "summary"), ("reasoning", "effort")})
    )


def test_a_search_is_a_tool_where_the_model_has_the_feature() -> None:
    finder = Model("m", 0, "", features=("web_search",))

    assert body_for(job(extra={"web_search": True}), finder)["tools"] == [
        {"type": "web_search_preview"}
    ]
    for options, model in (({"web_search": False}, finder), ({"web_search": True}, PLAINEST)):
        assert "tools" not in body_for(job(extra=options), model)


@pytest.mark.parametrize(
    ("asked", "model", "sayable"),
    [
        pytest.param(job(), GPT, True, id="text"),
        pytest.param(job(Message("user", (IMAGE,))), GPT, True, id="an image"),
        pytest.param(job(Message("user", (PDF,))), GPT, False, id="a file"),
        pytest.param(job(Message("tool", (IMAGE,), tool_call_id="c")), GPT, False, id="shown"),
        pytest.param(job(Message("user", "Hi", "ann")), GPT, False, id="a name"),
        pytest.param(
            job(Message("assistant", "", tool_calls=(ToolCall("", "f", ""),))),
            GPT,
            False,
            id="calls of old",
        ),
        pytest.param(job(stop=("END",)), GPT, True, id="stop, which the worker keeps"),
        pytest.param(job(extra={"seed": 1}), GPT, True, id="what the model does not declare"),
        pytest.param(
            job(extra={"seed": 1}),
            Model("m", 0, "", parameters={"seed": {}}),
            False,
            id="what it does",
        ),
        pytest.param(
            job(extra={"web_search": False}),
            Model("m", 0, "", parameters={"web_search": {}}),
            False,
            id="not to search",
        ),
        pytest.param(
            job(thinking_budget=9),
            Model("m", 0, "", parameters={"thinking_budget": {}}),
            False,
            id="a budget that the model knows",
        ),
        pytest.param(job(thinking_budget=9), GPT, True, id="a budget that it does not know"),
        pytest.param(job(reasoning_effort="none"), GPT, True, id="not to think"),
        pytest.param(job(reasoning_effort="none"), CLAUDE, False, id="no word for that"),
        pytest.param(job(reasoning_effort="none"), PLAINEST, True, id="it never does"),
    ],
)
def test_what_the_endpoint_has_fields_for(asked: Job, model: Model, sayable: bool) -> None:
    assert can_say(asked, model) is sayable
