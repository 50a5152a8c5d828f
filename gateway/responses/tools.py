"""The tools of a request, and which of them the model may or must call.

Models know functions only. A custom tool, whose input is free text, becomes a function of one
string; the tools of a namespace become functions whose names hold the namespace's. The answer's
calls are turned back. Tools of other types run at OpenAI, and are left out; `web_search` becomes
the parameter of that name where the model declares it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
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
_LONGEST_JOINED = 64
"""Characters of a function's name that OpenAI's models take."""
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
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
    taken: set[str] = field(default_factory=set)
    """The names of all functions."""
    _flat: dict[tuple[str, str], str] = field(default_factory=dict)
    _within: dict[str, str] = field(default_factory=dict)

    def flat(self, namespace: str, name: str) -> str:
        """Return the name of the function that stands for a tool."""
        if not namespace:
            return name
        return self._flat.get((namespace, name)) or self._free(namespace, name)

    def place(self, namespace: str, name: str) -> str:
        """Give a tool of a namespace the name of a function, and return that."""
        flat = self.flat(namespace, name)
        self.taken.add(flat)
        self.namespaced[flat] = (namespace, name)
        self._flat[namespace, name] = flat
        self._within.setdefault(name, flat)
        return flat

    def find(self, namespace: str, name: str) -> str:
        """Return the function of the tool that is called so; empty: there is none."""
        flat = self.flat(namespace, name)
        if flat in self.taken:
            return flat
        return "" if namespace else self._within.get(name, "")

    def _free(self, namespace: str, name: str) -> str:
        """Return a name that no other function has, and that OpenAI's models take."""
        joined = f"{namespace}{name}" if namespace.endswith("__") else f"{namespace}__{name}"
        known = _NOT_IN_NAMES.sub("_", joined)
        if known == joined and len(joined) <= _LONGEST_JOINED and joined not in self.taken:
            return joined
        # Told apart by what it stands for, so that it is the same in each request.
        mark = sha256(f"{namespace}\0{name}".encode()).hexdigest()[:8]
        return f"{known[: _LONGEST_JOINED - 9]}_{mark}"


def toolbox_of(raw: Sequence[msgspec.Raw]) -> Toolbox:
    """Return the tools of a request. Raises Problem that names one that is malformed."""
    box, reader = Toolbox(), SchemaReader()
    # Only the tools of namespaces can give way to others of the same name.
    box.taken.update(_own_names(raw))
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


def _own_names(raw: Sequence[msgspec.Raw]) -> Iterator[str]:
    """Yield the names of the tools that are in no namespace."""
    for i, each in enumerate(raw):
        if bytes(each) == b"null":
            continue
        tool = _typed(each, fields.Typed, f"tools[{i}]")
        if tool.type in ("function", "custom") and isinstance(tool.name, str):
            yield tool.name


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
    if not 1 <= len(tool.name) <= _MAX_NAME or not tool.name.isprintable():
        raise invalid_value(f"{path}.name", f"no tool has a name like {quoted(tool.name)}")
    flat = box.place(namespace, tool.name) if namespace else tool.name
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
    if found := box.find(choice.namespace or "", choice.name):
        return found
    raise invalid_value(f"{path}.name", f"none of the tools is called {quoted(choice.name)}")


def _allowed(box: Toolbox, choice: fields.ToolChoice) -> Choice:
    allowed = choice.tools or ()
    spaces = {each.name for each in allowed if each.type == "namespace"}
    names = {box.find(each.namespace or "", each.name or "") for each in allowed}
    names |= {flat for flat, place in box.namespaced.items() if place[0] in spaces}
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
