"""Tools that a client brings, and what it says of their use."""

import json
from typing import Any

import pytest

from contract.messages import Options, Tool
from gateway.openai.chat_request import parse_chat
from gateway.problems import Problem
from gateway.render.json_schemas import MAX_BYTES
from tests.support.openai_answers import status_of

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
TIME = {"type": "function", "function": {"name": "time", "description": "Tells it."}}
SEARCH = {"type": "web_search", "search_context_size": "low"}

WEATHER_TOOL = Tool("weather", "", SCHEMA)
TIME_TOOL = Tool("time", "Tells it.")


def body(**fields: Any) -> bytes:
    return json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "Hi"}]} | fields
    ).encode()


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"not": schema}
    return schema


def options(**fields: Any) -> Options:
    return parse_chat(body(**fields)).options


def refusal(**fields: Any) -> Problem:
    with pytest.raises(Problem) as caught:
        parse_chat(body(**fields))
    assert status_of(caught.value) == 400
    return caught.value


def test_functions_are_passed_on() -> None:
    strict = {"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}

    asked = options(tools=[WEATHER, TIME, strict], parallel_tool_calls=False)

    assert asked.tools == (WEATHER_TOOL, TIME_TOOL, Tool("f", "", {}, True))
    assert asked.parallel_tool_calls is False
    assert asked.tool_choice == ""


@pytest.mark.parametrize(
    "foreign",
    [
        SEARCH,
        {"type": "namespace", "tools": [{"x": 1}]},
        {"type": "custom", "custom": {"name": "c"}},
        {"type": "mcp", "server_url": "https://x"},
        {"type": "function_v2"},
    ],
    ids=lambda tool: tool["type"],
)
def test_tools_of_other_types_are_ignored(foreign: dict[str, Any]) -> None:
    assert options(tools=[foreign, TIME]).tools == (TIME_TOOL,)
    assert options(tools=[foreign], tool_choice="auto") == Options()


@pytest.mark.parametrize(
    ("choice", "meant", "name"),
    [
        ("auto", "auto", ""),
        ("none", "none", ""),
        ("required", "required", ""),
        (None, "", ""),
        ({"type": "function", "function": {"name": "time"}}, "required", "time"),
        ({"function": {"name": "time"}}, "required", "time"),
        ({"type": "function", "name": "time"}, "required", "time"),
    ],
)
def test_a_choice_is_one_of_three_or_a_name(choice: object, meant: str, name: str) -> None:
    asked = options(tools=[WEATHER, TIME], tool_choice=choice)

    assert (asked.tool_choice, asked.tool_name) == (meant, name)
    assert len(asked.tools) == 2


@pytest.mark.parametrize(
    "choice",
    [
        {
            "type": "allowed_tools",
            "allowed_tools": {
                "mode": "required",
                "tools": [{"type": "function", "function": {"name": "time"}}, {"type": "x"}],
            },
        },
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "function", "name": "time"}],
        },
    ],
)
def test_a_choice_may_leave_some_of_the_tools(choice: dict[str, Any]) -> None:
    asked = options(tools=[WEATHER, TIME], tool_choice=choice)

    assert (asked.tools, asked.tool_choice) == ((TIME_TOOL,), "required")


def test_a_choice_may_leave_none_of_the_tools() -> None:
    assert options(tools=[TIME], tool_choice={"type": "allowed_tools", "mode": "auto"}) == Options()


@pytest.mark.parametrize(
    ("call", "meant", "name"),
    [(None, "", ""), ("auto", "auto", ""), ("none", "none", ""), ({"name": "f"}, "required", "f")],
)
def test_functions_of_2023_are_tools(call: object, meant: str, name: str) -> None:
    asked = options(functions=[{"name": "f", "parameters": SCHEMA}], function_call=call)

    assert asked.tools == (Tool("f", "", SCHEMA),)
    assert (asked.tool_choice, asked.tool_name) == (meant, name)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [TIME, {"type": "function"}]}, "tools[1].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": ""}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "a\nb"}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "a" * 257}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": 5}}]}, "tools[0].function.name"),
        (
            {"tools": [TIME, {"function": {"name": "f", "parameters": []}}]},
            "tools[1].function.parameters",
        ),
        (
            {"tools": [TIME, {"function": {"name": "f", "parameters": {"type": "strin"}}}]},
            "tools[1].function.parameters",
        ),
        (
            {"tools": [{"function": {"name": "f", "parameters": {"maximum": 2**70}}}]},
            "tools[0].function.parameters",
        ),
        (
            {"tools": [{"function": {"name": "f", "parameters": nested(900)}}]},
            "tools[0].function.parameters",
        ),
        (
            {"tools": [{"function": {"name": "f", "parameters": nested(100)}}]},
            "tools[0].function.parameters",
        ),
        ({"functions": [{"name": "f", "parameters": {"type": 5}}]}, "functions[0].parameters"),
        ({"functions": [{}]}, "functions[0].name"),
        ({"tool_choice": "any", "tools": [TIME]}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "required", "tools": [SEARCH]}, "tool_choice"),
        ({"tool_choice": {}, "tools": [TIME]}, "tool_choice.function"),
        ({"tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "g"}}, "tools": [TIME]},
            "tool_choice.function.name",
        ),
        ({"tool_choice": {"type": "function", "name": "g"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "web_search"}, "tools": [SEARCH]}, "tool_choice.type"),
        (
            {"tool_choice": {"type": "custom", "custom": {"name": "c"}}, "tools": [TIME]},
            "tool_choice.type",
        ),
        ({"tool_choice": {"type": "allowed_tools", "mode": "required"}}, "tool_choice"),
        ({"function_call": {"name": "g"}, "functions": [{"name": "f"}]}, "function_call.name"),
    ],
)
def test_a_mistake_in_tools_is_told_with_its_place(fields: dict[str, Any], param: str) -> None:
    error = refusal(**fields)

    assert error.param == param
    assert param in error.message


def test_a_schema_is_refused_as_often_as_it_comes() -> None:
    tool = {"function": {"name": "f", "parameters": {"type": "once-and-again"}}}

    assert refusal(tools=[tool]).message == refusal(tools=[tool]).message


def test_all_schemas_together_are_bounded() -> None:
    size = MAX_BYTES // 16
    tools = [
        {"function": {"name": f"f{i}", "parameters": {"description": "x" * size}}}
        for i in range(17)
    ]

    assert len(options(tools=tools[:15]).tools) == 15
    assert refusal(tools=tools).param == "tools[15].function.parameters"
