"""The tools of a request, and which of them the model may or must call.

Only tools that the client describes by a schema can be passed on. Those of types that Anthropic
defines are left out; `web_search` becomes the parameter of that name where the model declares it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from contract.messages import Tool
from gateway.anthropic import fields
from gateway.anthropic.content import type_of
from gateway.problems import invalid_value, missing, quoted
from gateway.render.body import decode_within
from gateway.render.json_schemas import SchemaReader
from gateway.render.parameters import Choice

_MAX_NAME = 256
"""Characters of a tool's name. Anthropic takes 128."""


@dataclass
class Toolbox:
    """The tools of one request."""

    tools: list[Tool] = field(default_factory=list)
    left_out: set[str] = field(default_factory=set)
    """The names of those that are not passed on."""
    searches: bool = False
    """Whether the client offers a search of the web."""


def toolbox_of(raw: Sequence[msgspec.Raw]) -> Toolbox:
    """Return the tools of a request. Raises Problem that names one that is malformed."""
    box, reader = Toolbox(), SchemaReader()
    for i, each in enumerate(raw):
        path = f"tools[{i}]"
        kind = type_of(each, path)
        if kind in (None, "custom"):
            box.tools.append(_tool(decode_within(each, fields.Tool, path), path, reader))
            continue
        name = decode_within(each, fields.NamedTool, path).name
        box.left_out.add(name if isinstance(name, str) else "")
        box.searches = box.searches or kind.startswith("web_search")
    return box


def chosen(box: Toolbox, choice: fields.ToolChoice | None) -> Choice:
    """Return the tools that the choice leaves. Raises Problem for a tool that is not there."""
    tools = tuple(box.tools)
    match choice:
        case fields.ToolChoice(type="none"):
            return Choice(tools, "none") if tools else Choice()
        case fields.ToolChoice(type="any"):
            return Choice(tools, "required") if tools else Choice()
        case fields.ToolChoice(type="tool", name=None):
            raise missing("tool_choice.name")
        case fields.ToolChoice(type="tool", name=str(name)):
            return _forced(box, name)
        case _:
            return Choice(tools)


def _forced(box: Toolbox, name: str) -> Choice:
    if any(tool.name == name for tool in box.tools):
        return Choice(tuple(box.tools), "required", name)
    if name in box.left_out:
        # It is the model that would have run it. All others were not to be called.
        return Choice()
    raise invalid_value("tool_choice.name", f"none of the tools is called {quoted(name)}")


def _tool(tool: fields.Tool, path: str, reader: SchemaReader) -> Tool:
    name = tool.name
    if not 1 <= len(name) <= _MAX_NAME or not name.isprintable():
        raise invalid_value(f"{path}.name", f"no tool has a name like {quoted(name)}")
    parameters = reader.read(tool.input_schema, f"{path}.input_schema")
    return Tool(name, tool.description or "", parameters, tool.strict is True)
