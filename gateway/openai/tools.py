"""The tools of a request, and which of them the model may or must call.

Only functions can be passed on. Clients list tools of other types beside them, such as
`web_search`, which a model can do without: those are ignored, unless one is asked for by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from contract.messages import Tool
from gateway.openai import fields
from gateway.problems import invalid_value, missing, quoted
from gateway.render.json_schemas import SchemaReader

_MAX_NAME = 256
"""Characters of a function's name. OpenAI takes 64; names made from others' run longer."""


class Tools(NamedTuple):
    """What `Options` says of tools."""

    tools: tuple[Tool, ...] = ()
    choice: Literal["", "auto", "none", "required"] = ""
    name: str = ""


def tools_of(asked: fields.Chat) -> Tools:
    """Return the tools and the choice of one; `functions` are what tools were called in 2023.

    Raises Problem for a choice that none of the tools can meet.
    """
    reader = SchemaReader()
    if asked.tools or not asked.functions:
        tools = _from_tools(asked.tools or (), reader)
        return _chosen(tools, asked.tool_choice, "tool_choice")
    tools = tuple(
        _tool(function, f"functions[{i}]", reader)
        for i, function in enumerate(asked.functions)
        if function is not None
    )
    return _chosen(tools, asked.function_call, "function_call")


def _from_tools(tools: Sequence[fields.Tool | None], reader: SchemaReader) -> tuple[Tool, ...]:
    functions = []
    for i, tool in enumerate(tools):
        if tool is not None and tool.type in (None, "function"):
            if tool.function is None:
                raise missing(f"tools[{i}].function")
            functions.append(_tool(tool.function, f"tools[{i}].function", reader))
    return tuple(functions)


def _tool(function: fields.Function, path: str, reader: SchemaReader) -> Tool:
    name = function.name
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise invalid_value(f"{path}.name", f"no function has a name like {quoted(name)}")
    parameters = reader.read(function.parameters, f"{path}.parameters")
    return Tool(name, function.description or "", parameters, bool(function.strict))


def _chosen(
    tools: tuple[Tool, ...], choice: str | fields.ToolChoice | fields.Named | None, param: str
) -> Tools:
    match choice:
        case None:
            return Tools(tools)
        case fields.Named(name=name):
            return _named(tools, name, f"{param}.name")
        case fields.ToolChoice():
            return _described(tools, choice, param)
        case "required" if not tools:
            raise invalid_value(param, "a tool is required, but none of the tools is a function")
        case "auto" | "none" | "required":
            return Tools(tools, choice) if tools else Tools()
        case _:
            raise invalid_value(param, f"{quoted(choice)} is not one of auto, none, required")


def _described(tools: tuple[Tool, ...], choice: fields.ToolChoice, param: str) -> Tools:
    if choice.type == "allowed_tools":
        return _allowed(tools, choice, param)
    if choice.type not in (None, "function"):
        raise invalid_value(f"{param}.type", f"no tool of type {quoted(choice.type)} can be called")
    if choice.function is not None:
        return _named(tools, choice.function.name, f"{param}.function.name")
    if choice.name is None:
        raise missing(f"{param}.function")
    return _named(tools, choice.name, f"{param}.name")


def _named(tools: tuple[Tool, ...], name: str, param: str) -> Tools:
    if all(tool.name != name for tool in tools):
        raise invalid_value(param, f"no function among the tools is called {quoted(name)}")
    return Tools(tools, "required", name)


def _allowed(tools: tuple[Tool, ...], choice: fields.ToolChoice, param: str) -> Tools:
    # The Responses API has flat what chat completions put into an object.
    allowed = choice.allowed_tools or fields.AllowedTools(choice.mode, choice.tools)
    names = {tool.function.name if tool.function else tool.name for tool in allowed.tools or ()}
    tools = tuple(tool for tool in tools if tool.name in names)
    return _chosen(tools, "required" if allowed.mode == "required" else "auto", param)
