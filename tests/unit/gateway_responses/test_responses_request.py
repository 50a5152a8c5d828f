"""Requests for responses: what the model is asked, and what is refused, with the field's name."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from contract.messages import Format, MediaPart, Message, Model, TextPart, ToolCall
from gateway.problems import Problem
from gateway.responses.request import ResponsesAsk, parse_response
from tests.unit.gateway_responses.rendering import ask_of, streamed

FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}
CUSTOM = {
    "type": "custom",
    "name": "patch",
    "description": "Edits files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: LINE"},
}
SPACE = {
    "type": "namespace",
    "name": "mcp__files__",
    "description": "Files.",
    "tools": [{"type": "function", "name": "read"}, {"type": "custom", "name": "write"}],
}
PNG = "data:image/png;base64,iVBORw=="


def messages(given: Any, **more: Any) -> tuple[Message, ...]:
    return ask_of(input=given, **more).messages


def test_a_text_is_a_message_of_the_user_behind_the_instructions() -> None:
    assert messages("hi", instructions="Be brief.") == (
        Message("system", "Be brief."),
        Message("user", "hi"),
    )


def test_messages_of_all_roles_keep_their_text_and_their_files() -> None:
    given = [
        {"role": "developer", "content": "d"},
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "s"}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": PNG, "detail": "low"},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                {"type": "input_file", "filename": "a.pdf", "file_data": "AAAA"},
                {"type": "input_file", "file_url": "https://poe.test/b.pdf"},
                {"type": "file", "file": {"filename": "c.txt", "file_data": "AAAA"}},
            ],
        },
        {"role": "assistant", "content": [{"type": "output_text", "text": "a", "annotations": []}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]

    found = messages(given)

    assert [(m.role, m.text) for m in found] == [
        ("system", "d"),
        ("system", "s"),
        ("user", "see"),
        ("assistant", "a"),
        ("assistant", "no"),
    ]
    assert found[2].content[0] == TextPart("see")
    assert found[2].media[0] == MediaPart("image", PNG, "image/png", detail="low")
    assert [part.kind for part in found[2].media] == ["image", "audio", *["file"] * 3]


def test_a_turn_with_tools_is_one_message_of_the_models_and_one_for_each_result() -> None:
    given = [
        {"role": "user", "content": "go"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": None},
        {"role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": '{"a":1}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "*** \n"},
        {
            "type": "function_call",
            "call_id": "c3",
            "namespace": "mcp__files__",
            "name": "read",
            "arguments": "{}",
        },
        {"type": "function_call_output", "call_id": "c1", "output": "seen"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "done"}],
        },
    ]

    found = messages(given, tools=[FUNCTION, CUSTOM, SPACE])

    assert found[1:] == (
        Message(
            "assistant",
            "I look.",
            tool_calls=(
                ToolCall("c1", "look", '{"a":1}'),
                ToolCall("c2", "patch", '{"input": "*** \\n"}'),
                ToolCall("c3", "mcp__files__read", "{}"),
            ),
        ),
        Message("tool", "seen", tool_call_id="c1"),
        Message("tool", "done", tool_call_id="c2"),
    )


def test_the_tools_are_functions_to_the_model() -> None:
    ask = ask_of(tools=[FUNCTION, CUSTOM, SPACE, None])

    look, patch, read, write = ask.options.tools
    assert (look.name, look.strict) == ("look", True)
    assert patch.parameters is not None
    assert patch.parameters["required"] == ["input"]
    assert patch.description.endswith("`input` must match this lark:\nstart: LINE")
    assert [read.name, write.name] == ["mcp__files__read", "mcp__files__write"]
    assert ask.custom == ("mcp__files__write", "patch")
    assert ask.namespaced["mcp__files__read"] == ("mcp__files__", "read")


def test_a_function_that_is_called_like_one_of_a_namespace_keeps_its_name() -> None:
    flat = {"type": "function", "name": "a__b"}
    space = {"type": "namespace", "name": "a", "tools": [{"type": "function", "name": "b"}]}

    ask = ask_of(tools=[flat, space])

    names = [tool.name for tool in ask.options.tools]
    assert len(set(names)) == 2
    assert names[0] == "a__b"
    assert ask.namespaced == {names[1]: ("a", "b")}


@pytest.mark.parametrize(
    "tools",
    [
        [("a", "b"), ("", "a__b")],
        [("", "a__b"), ("", "a__b_2"), ("a", "b")],
        [("a", "b"), ("a__", "b")],
        [("a.x", "b"), ("a-x", "b"), ("a x", "b"), ("a_x", "b")],
        [("mcp__" + "n" * 60, "one"), ("mcp__" + "n" * 60, "two"), ("m", "n" * 64)],
    ],
)
def test_names_of_namespaces_become_names_that_no_other_function_has(
    tools: list[tuple[str, str]],
) -> None:
    functions = [{"type": "function", "name": name} for _, name in tools]
    given = [
        {"type": "namespace", "name": space, "tools": [function]} if space else function
        for (space, _), function in zip(tools, functions, strict=True)
    ]

    ask = ask_of(tools=given)
    names = [tool.name for tool in ask.options.tools]

    assert len(set(names)) == len(tools)
    assert all(re.fullmatch("[A-Za-z0-9_-]{1,64}", name) for name in names)
    assert [ask.namespaced.get(name, ("", name)) for name in names] == tools
    # The same in each request, since earlier calls are sent back.
    call = {"type": "function_call", "call_id": "c", "arguments": "{}"}
    for name, (space, own) in zip(names, tools, strict=True):
        (said,) = messages([call | {"namespace": space, "name": own}], tools=given)
        assert said.tool_calls[0].name == name


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "mcp", "server_label": "x", "tools": "all"},
        {"type": "image_generation", "name": 7},
        {"type": "tomorrow's", "parameters": [1], "format": 5},
        {},
        {"type": "web_search", "filters": None},
        {"type": "namespace", "name": "n", "tools": [{"type": "tomorrow's", "name": 1}]},
    ],
)
def test_a_tool_of_another_type_is_left_out(tool: Any) -> None:
    ask = ask_of(tools=[tool, FUNCTION], tool_choice="auto")

    assert [each.name for each in ask.options.tools] == ["look"]


def test_a_search_of_the_web_is_the_models_own_where_it_declares_one() -> None:
    ask = ask_of(tools=[{"type": "web_search"}], tomorrow={"a": 1})
    searching = Model("m", 1, "o", parameters={"web_search": {"type": "boolean"}})

    assert ask.options_for(searching).extra == {"web_search": True}
    assert ask.options_for(Model("m", 1, "o")).extra == {}
    assert ask.options_for(None).extra == {}


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("none", ("none", "", 4)),
        ("required", ("required", "", 4)),
        ({"type": "function", "name": "look"}, ("required", "look", 4)),
        ({"type": "custom", "name": "patch"}, ("required", "patch", 4)),
        ({"type": "function", "name": "read"}, ("required", "mcp__files__read", 4)),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "x", "name": "look"}]},
            ("required", "", 1),
        ),
        (
            {
                "type": "allowed_tools",
                "mode": "required",
                "tools": [{"type": "namespace", "name": "mcp__files__"}],
            },
            ("required", "", 2),
        ),
        (
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "image_generation"}]},
            ("", "", 0),
        ),
    ],
)
def test_a_choice_among_the_tools(choice: Any, wanted: tuple[str, str, int]) -> None:
    options = ask_of(tools=[FUNCTION, CUSTOM, SPACE], tool_choice=choice).options

    assert (options.tool_choice, options.tool_name, len(options.tools)) == wanted


def test_the_options_are_those_of_chat_completions_under_other_names() -> None:
    ask = ask_of(
        stream=True,
        max_output_tokens=9.0,
        temperature=1,
        top_p=0.5,
        reasoning={"effort": "low", "summary": "auto"},
        text={
            "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}},
            "verbosity": "low",
        },
        tools=[FUNCTION],
        parallel_tool_calls=False,
    )

    options = ask.options
    assert ask.stream
    assert (options.max_tokens, options.temperature, options.top_p) == (9, 1, 0.5)
    assert (options.reasoning_effort, options.extra) == ("low", {"verbosity": "low"})
    assert options.format == Format("n", {"type": "object"})
    assert options.parallel_tool_calls is False


def test_what_needs_nothing_done_is_taken() -> None:
    ask = ask_of(
        store=True,
        background=False,
        previous_response_id=None,
        include=["reasoning.encrypted_content"],
        metadata={"a": "b"},
        prompt_cache_key="k",
        safety_identifier="s",
        client_metadata={"x": {"y": 1}},
        truncation="auto",
        service_tier="flex",
        stream_options={"include_obfuscation": False},
        context_management=[{"type": "compaction"}],
        tomorrow=[1],
    )

    shown = json.loads(f"{{{ask.echo}}}")
    assert shown["store"] is True
    assert (shown["metadata"], shown["prompt_cache_key"]) == ({"a": "b"}, "k")
    assert shown["truncation"] == "auto"


def test_a_response_repeats_what_was_asked() -> None:
    ask = ask_of(tools=[FUNCTION, CUSTOM, {"type": "tomorrow's"}], instructions="Be brief.")

    response = streamed([], ask)[0]["response"]

    assert response["instructions"] == "Be brief."
    assert response["tools"] == [FUNCTION, CUSTOM]
    assert response["tool_choice"] == "auto"


def test_an_ask_comes_back_from_the_child_process_as_it_went() -> None:
    ask = ask_of(tools=[SPACE], metadata={"n": 2**70})

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(ask), type=ResponsesAsk) == ask


@pytest.mark.parametrize("depth", [200, 400, 800, 1_600, 10_000])
@pytest.mark.parametrize("start", ['"tool_choice":', '"tools":[', '"metadata":{"a":', '"text":'])
def test_what_is_nested_too_deeply_is_no_fault_of_ours(start: str, depth: int) -> None:
    kind = "allowed_tools" if "choice" in start else "custom"
    deep = f'{{"type":"{kind}","name":"x","tools":[' * depth + "]}" * depth
    closing = start.count("[") * "]" + start.count("{") * "}"
    body = '{"model":"m","input":"hi",' + start + deep + closing + "}"

    problem = refusal(body)

    assert problem is None or problem.message.startswith(
        ("Invalid", "The request's JSON is nested")
    )


def test_a_number_too_long_to_be_one_is_refused_wherever_it_stands() -> None:
    tool = '{"type":"custom","name":"x","more":' + "9" * 5_000 + "}"

    problem = refusal('{"model":"m","input":"hi","tools":[' + tool + "]}")

    assert problem is not None
    assert str(problem.param).startswith("tools[0]")


def refusal(body: str) -> Problem | None:
    try:
        parse_response(body.encode())
    except Problem as problem:
        return problem
    return None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"input": None}, "input"),
        ({"input": None, "messages": []}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "reasoning"}]}, "input"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "c"}}, "conversation"),
        ({"previous_response_id": 1}, "previous_response_id"),
        ({"background": "later"}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]"),
        ({"input": [{"type": "computer_call"}]}, "input[0].type"),
        ({"input": [{"type": "function_call"}]}, "input[0].name"),
        ({"input": [{"type": "function_call_output", "output": ""}]}, "input[0].call_id"),
        ({"input": [{"role": "user", "content": [{"type": "x"}]}]}, "input[0].content[0]"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        ({"input": 7}, "input"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "name": 7}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": ""}]}, "tools[0].name"),
        ({"tools": [{"type": 7}]}, "tools[0].type"),
        (
            {"tools": [{"type": "function", "name": "f", "parameters": {"type": 7}}]},
            "tools[0].parameters",
        ),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
    ],
)
def test_what_cannot_be_answered_names_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Problem) as raised:
        ask_of(**fields)

    assert raised.value.param == param


SEARCH: dict[str, Any] = {"type": "web_search"}
WEATHER: dict[str, Any] = {"type": "function", "name": "weather"}
SEARCHES = Model("m", 0, "o", parameters={"web_search": {"type": "boolean"}})


@pytest.mark.parametrize(
    ("model", "searched", "shown"),
    [
        pytest.param(SEARCHES, {"web_search": True}, ["web_search", "function"], id="declared"),
        pytest.param(Model("m", 0, "o"), {}, ["function"], id="not declared"),
        pytest.param(None, {}, ["function"], id="unknown"),
    ],
)
def test_a_search_of_the_web_is_the_models_own_or_missing_from_what_the_answer_repeats(
    model: Model | None, searched: dict[str, Any], shown: list[str]
) -> None:
    asked = ask_of(tools=[SEARCH, WEATHER])

    assert asked.options_for(model).extra == searched
    echo = json.loads(f"{{{asked.shown_for(model).echo}}}")
    assert [tool["type"] for tool in echo["tools"]] == shown


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "web_search"},
        {"type": "mcp", "server_label": "x"},
        {"type": "of_next_year"},
        "required",
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]},
    ],
)
@pytest.mark.parametrize("more", [[], [WEATHER]], ids=["alone", "with a function"])
def test_a_choice_of_a_tool_that_is_left_out_is_no_choice(
    choice: Any, more: list[dict[str, Any]]
) -> None:
    asked = ask_of(tools=[SEARCH, {"type": "of_next_year"}, *more], tool_choice=choice)

    assert asked.options.tool_name == ""
    if not more:
        assert asked.options.tool_choice == ""


@pytest.mark.parametrize(
    "kind",
    ["compaction", "context_compaction", "compaction_trigger", "configuration_update"],
)
def test_items_that_only_openai_can_read_are_left_out(kind: str) -> None:
    items = [{"role": "user", "content": "hi"}, {"type": kind, "encrypted_content": "gAAA"}]

    assert ask_of(input=items).messages == (Message("user", "hi"),)


def test_what_one_agent_says_to_another_is_a_message() -> None:
    content = [{"type": "input_text", "text": "done"}]
    item = {"type": "agent_message", "author": "/a", "recipient": "/", "content": content}

    assert ask_of(input=[item]).messages == (Message("user", "done"),)
