"""The grammar of tool calls as text, for bots that do not know tools.

    <tool_call name="write_file">
    <arg name="path">notes.txt</arg>
    <arg name="text">
    He said "no", and left.
    </arg>
    <arg name="mode">420</arg>
    </tool_call>

Strings stand as they are: models that must put code into JSON strings get the escapes wrong.
Other values are JSON. What a raw value is, the tool's schema tells. The marks:

    <tool_call name="…"> … </tool_call>    one call; the body may also be one JSON object
    <arg name="…"> … </arg>                one argument
    <arg name="…" type="json"> … </arg>    the same, always JSON

A body ends at the first `</tool_call>` up to which it can be read as a whole, and an argument at
the first `</arg>` that another argument or the end follows. So either may stand inside a string;
only a string with `</arg>` before such a place must be JSON, in which `<` can be escaped. A line
break after the opening mark and one before the closing one belong to the marks, if the first is
there.

Also read: `{"name": …, "arguments": …}` in a call without a name, which open models are trained
on; attributes in single quotes; a code fence around a body; a call without a body (`/>`).
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from contract.messages import Tool, ToolCall
from worker.shaping.json_types import types, types_of

OPEN, CLOSE = "<tool_call", "</tool_call>"

_ATTRIBUTE = r"""\s+[\w-]+\s*=\s*(?:"[^"]*"|'[^']*')"""
OPENING = re.compile(rf"<tool_call((?:{_ATTRIBUTE})*)\s*(/?)>")
_ARG = re.compile(rf"\s*<arg((?:{_ATTRIBUTE})+)\s*>")
_ARG_END = re.compile(r"</arg>(?=\s*(?:<arg\s|\Z))")
_ATTRIBUTES = re.compile(r"""([\w-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_FENCE = re.compile(r"```\w*[^\S\n]*\n")


@dataclass(frozen=True)
class WrittenCall:
    """One call as a model wrote it."""

    name: str
    arguments: dict[str, Any]


MAX_ARGUMENTS = 256
"""Of one call in marks."""


class Unreadable(Exception):
    """The text is a call that breaks the grammar. The message says how, so that the model can mend
    it."""


def read(body: str, attributes: str, tools: Mapping[str, Tool]) -> WrittenCall | None:
    """Read one call. None if it is not whole: it may go on behind what looks like its end.

    Raises Unreadable for an argument whose value is none of its type.
    """
    name = _attributes_of(attributes).get("name", "")
    body = _unfenced(body.strip())
    if body.startswith("{"):
        return _read_json(body, name)
    return _read_arguments(body, name, tools.get(name)) if name else None


def write(call: ToolCall, tools: Mapping[str, Tool]) -> str:
    """Write a call of the past in the same form."""
    opening = f'{OPEN} name="{html.escape(call.name)}">'
    try:
        arguments = msgspec.json.decode(call.arguments or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return f"{opening}\n{call.arguments}\n{CLOSE}"
    properties = _properties(tools.get(call.name))
    root = _parameters(tools.get(call.name))
    lines = [_write_arg(name, value, properties, root) for name, value in arguments.items()]
    return "\n".join([opening, *lines, CLOSE])


def write_result(name: str, text: str) -> str:
    """Write what a tool returned. Nothing in it can end the block early."""
    text = text.replace("</tool_result", "&lt;/tool_result")
    return f'<tool_result name="{html.escape(name)}">\n{text}\n</tool_result>'


def _unfenced(body: str) -> str:
    """Take off a code fence around the whole body."""
    opening = _FENCE.match(body)
    if not opening or not body.endswith("```"):
        return body
    # One pattern for all of it would take the cube of a run of line breaks.
    inside = body[opening.end() : -len("```")]
    last_line = inside[inside.rfind("\n") + 1 :]
    return body if last_line.strip() else inside.strip()


def _read_json(body: str, name: str) -> WrittenCall | None:
    try:
        value = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return None
    if name:
        return WrittenCall(name, value)
    named, arguments = value.get("name"), value.get("arguments", {})
    if not isinstance(named, str) or not isinstance(arguments, dict):
        return None
    return WrittenCall(named, arguments)


def _read_arguments(body: str, name: str, tool: Tool | None) -> WrittenCall | None:
    properties, root = _properties(tool), _parameters(tool)
    arguments: dict[str, Any] = {}
    raw: list[tuple[str, str, bool]] = []
    position = 0
    while position < len(body):
        opening = _ARG.match(body, position)
        end = opening and _ARG_END.search(body, opening.end())
        if not opening or not end:
            return None
        if len(raw) == MAX_ARGUMENTS:
            raise Unreadable(f"{name!r} has more than {MAX_ARGUMENTS} arguments")
        attributes = _attributes_of(opening[1])
        value = body[opening.end() : end.start()]
        raw.append((attributes.get("name", ""), value, attributes.get("type") == "json"))
        position = end.end()
    for argument, text, is_json in raw:
        allowed = types(properties.get(argument), root)
        try:
            arguments[argument] = _decode(text) if is_json else _value(text, allowed)
        except (msgspec.DecodeError, RecursionError):
            raise Unreadable(f"argument {argument!r} of {name!r} is not JSON") from None
    return WrittenCall(name, arguments)


def _write_arg(name: str, value: object, properties: dict[str, Any], root: dict[str, Any]) -> str:
    opening = f'<arg name="{html.escape(name)}"'
    if isinstance(value, str) and _reads_back(value, types(properties.get(name), root)):
        return f"{opening}>\n{value}\n</arg>" if "\n" in value else f"{opening}>{value}</arg>"
    written = msgspec.json.encode(value).decode().replace("<", "\\u003c")
    return f'{opening} type="json">{written}</arg>'


def _reads_back(value: str, types: frozenset[str]) -> bool:
    """Return whether the raw string is read as itself."""
    if "</arg>" in value:
        return False
    try:
        return bool(_value(f"\n{value}\n" if "\n" in value else value, types) == value)
    except (msgspec.DecodeError, RecursionError):
        return False


def _value(text: str, allowed: frozenset[str]) -> Any:
    """Read a raw value of one of the allowed types; of any if none are named."""
    lines = text[1:].removesuffix("\n") if text.startswith("\n") else text
    if allowed == {"string"}:
        return lines
    try:
        value = _decode(text)
    except (msgspec.DecodeError, RecursionError):
        if not allowed or "string" in allowed:
            return lines
        raise
    # Where a string may stand, 42 is one unless a number may stand there too; so is "quoted".
    if "string" in allowed and (isinstance(value, str) or not allowed & types_of(value)):
        return lines
    return value


def _decode(text: str) -> Any:
    return msgspec.json.decode(text)


def _attributes_of(text: str) -> dict[str, str]:
    return {
        name: html.unescape(double or single) for name, double, single in _ATTRIBUTES.findall(text)
    }


def _parameters(tool: Tool | None) -> dict[str, Any]:
    return (tool.parameters if tool else None) or {}


def _properties(tool: Tool | None) -> dict[str, Any]:
    properties = _parameters(tool).get("properties")
    return properties if isinstance(properties, dict) else {}
