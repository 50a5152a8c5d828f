"""The tools of a request, and which of them the model may or must call.

Models know functions only. A custom tool, whose input is free text, becomes a function of one
string; the tools of a namespace become functions whose names hold the namespace's. The answer's
calls are turned back. Tools of other types run at OpenAI, and are left out; `web_search` becomes
the parameter of that name where the model declares it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from contract.messages import Tool
from gateway.problems import Problem, invalid_request, invalid_value, missing, quoted
from gateway.render.json_schemas import SchemaReader
from gateway.render.parameters import Choice
from gateway.responses import fields

INPUT = "input"
"""The one argument of the function that stands for a custom tool."""

_MAX_NAME = 256
_T = TypeVar("_T")
_PLACE = re.compile(r" - at `\$(.*)`$")


@dataclass
class Toolbox:
    """The tools of one request."""

    tools: list[Tool] = field(default_factory=list)
    custom: set[str] = field(default_factory=set)
    """The functions that stand for custom tools."""
    namespaced: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Functions by their names, each with its namespace and its name within that."""
    honoured: list[dict[str, Any]] = field(default_factory=list)
    """The tools as the client sent them, without those that are left out."""
    searches: bool = False
    """Whether the client offers a search of the web."""
    is_partial: bool = False
    """Whether it offers what no model can call here: a search, or what runs at OpenAI."""

    def flat(self, namespace: str, name: str) -> str:
        """Return the name of the function that stands for a tool."""
        if not namespace:
            return name
        for known, place in self.namespaced.items():
            if place == (namespace, name):
                return known
        flat = f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"
        taken = {tool.name for tool in self.tools}
        return f"{flat}_{len(taken)}" if flat in taken else flat


def toolbox_of(raw: Sequence[msgspec.Raw]) -> Toolbox:
    """Return the tools of a request. Raises Problem that names one that is malformed."""
    box, reader = Toolbox(), SchemaReader()
    for i, each in enumerate(raw):
        _add(box, each, f"tools[{i}]", reader)
    return box


def chosen(box: Toolbox, choice: str | fields.ToolChoice | None) -> Choice:
    """Return the tools that the choice leaves. Raises Problem if none of them can meet it."""
    tools = tuple(box.tools)
    match choice:
        case None:
            return Choice(tools)
        case "required" if not tools and not box.is_partial:
            reason = "a tool is required, but the model can call none of the tools"
            raise invalid_value("tool_choice", reason)
        case "auto" | "none" | "required":
            return Choice(tools, choice) if tools else Choice()
        case str():
            reason = f"{quoted(choice)} is not one of auto, none, required"
            raise invalid_value("tool_choice", reason)
        case fields.ToolChoice(type="allowed_tools"):
            return _allowed(box, choice)
        case fields.ToolChoice(type="function" | "custom"):
            return Choice(tools, "required", _named(box, choice))
        case _ if box.is_partial:
            # One of those that are left out, as it would be without the choice.
            return Choice(tools, "auto") if tools else Choice()
        case _:
            reason = f"no tool of type {quoted(choice.type)} can be forced"
            raise invalid_value("tool_choice.type", reason)


def searches(kind: str) -> bool:
    """Return whether a tool of this type searches the web."""
    return kind.startswith("web_search")


def _add(box: Toolbox, raw: msgspec.Raw, path: str, reader: SchemaReader) -> None:
    if bytes(raw) == b"null":
        return
    kind = _typed(raw, fields.Typed, path).type or ""
    if kind in ("function", "custom"):
        _add_tool(box, _typed(raw, fields.Tool, path), path, reader)
    elif kind == "namespace":
        space = _typed(raw, fields.Tool, path)
        for i, inner in enumerate(space.tools or ()):
            _add_inner(box, inner, f"{path}.tools[{i}]", reader, space.name)
    elif searches(kind):
        box.searches = box.is_partial = True
    else:
        box.is_partial = True
        return
    box.honoured.append(_shown(_typed(raw, dict[str, Any], path)))


def _add_inner(
    box: Toolbox, raw: msgspec.Raw, path: str, reader: SchemaReader, namespace: str
) -> None:
    if bytes(raw) != b"null" and _typed(raw, fields.Typed, path).type in ("function", "custom"):
        _add_tool(box, _typed(raw, fields.Tool, path), path, reader, namespace)


def _add_tool(
    box: Toolbox, tool: fields.Tool, path: str, reader: SchemaReader, namespace: str = ""
) -> None:
    flat = box.flat(namespace, tool.name)
    if not 1 <= len(flat) <= _MAX_NAME or not flat.isprintable():
        raise invalid_value(f"{path}.name", f"no tool has a name like {quoted(tool.name)}")
    if namespace:
        box.namespaced[flat] = (namespace, tool.name)
    if tool.type == "custom":
        box.custom.add(flat)
        box.tools.append(_as_function(flat, tool))
    else:
        parameters = reader.read(tool.parameters, f"{path}.parameters")
        box.tools.append(Tool(flat, tool.description or "", parameters, bool(tool.strict)))


def _as_function(name: str, tool: fields.Tool) -> Tool:
    description = tool.description or ""
    grammar = tool.format
    if grammar is not None and grammar.definition:
        syntax = grammar.syntax or "grammar"
        description += f"\n\n`{INPUT}` must match this {syntax}:\n{grammar.definition}"
    schema = {
        "type": "object",
        "properties": {INPUT: {"type": "string", "description": "The whole input, as free text."}},
        "required": [INPUT],
        "additionalProperties": False,
    }
    return Tool(name, description.strip(), schema)


def _shown(tool: dict[str, Any]) -> dict[str, Any]:
    """Return the tool as a response repeats it: a function has all of its fields there."""
    if tool.get("type") != "function":
        return tool
    return {"parameters": None, "strict": None} | tool


def _named(box: Toolbox, choice: fields.ToolChoice, path: str = "tool_choice") -> str:
    if choice.name is None:
        raise missing(f"{path}.name")
    if found := _find(box, choice.namespace or "", choice.name):
        return found
    raise invalid_value(f"{path}.name", f"none of the tools is called {quoted(choice.name)}")


def _find(box: Toolbox, namespace: str, name: str) -> str:
    flat = box.flat(namespace, name)
    if any(tool.name == flat for tool in box.tools):
        return flat
    within = (known for known, place in box.namespaced.items() if place[1] == name)
    return "" if namespace else next(within, "")


def _allowed(box: Toolbox, choice: fields.ToolChoice) -> Choice:
    names = {_find(box, each.namespace or "", each.name or "") for each in choice.tools or ()}
    tools = tuple(tool for tool in box.tools if tool.name in names)
    if not tools and choice.mode == "required" and not box.is_partial:
        reason = "a tool is required, but the model can call none of those that are allowed"
        raise invalid_value("tool_choice.tools", reason)
    if not tools:
        return Choice()
    return Choice(tools, "required" if choice.mode == "required" else "auto")


def _typed(raw: msgspec.Raw, kind: type[_T], path: str) -> _T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise _malformed(str(error), path) from error
    except RecursionError as error:
        raise invalid_request("The request's JSON is nested too deeply.") from error


def _malformed(reason: str, path: str) -> Problem:
    place = _PLACE.search(reason)
    return invalid_value(path + (place[1] if place else ""), _PLACE.sub("", reason))
