"""Reads and validates tools, calls and results, on either interface.

The bot protocol's forms are those that Poe's own library (fastapi_poe.types) validates; the
others are OpenAI's.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec
import orjson

from simulated_poe.failures import Malformed

_T = TypeVar("_T")


class Tool(msgspec.Struct, frozen=True):
    """A function that a bot may call."""

    name: str
    parameters: dict[str, Any] = {}
    """The JSON schema of its arguments."""


class Done(msgspec.Struct, frozen=True):
    """An earlier call with its result."""

    name: str
    arguments: str
    result: str
    after: int | None = None
    """How many user messages came before it; None on the bot protocol, which does not say."""


class Wishes(msgspec.Struct, frozen=True):
    """The part of a request that concerns tools."""

    tools: tuple[Tool, ...] = ()
    done: tuple[Done, ...] = ()
    must_call: bool = False
    parallel: bool = True


class _Properties(msgspec.Struct, frozen=True):
    type: str
    properties: dict[str, Any]
    required: list[str] | None = None


class _BotFunction(msgspec.Struct, frozen=True):
    name: str
    description: str
    parameters: _Properties


class _BotTool(msgspec.Struct, frozen=True):
    type: str
    function: _BotFunction


class _Called(msgspec.Struct, frozen=True):
    name: str
    arguments: str


class _Call(msgspec.Struct, frozen=True):
    id: str
    type: str
    function: _Called


class _Result(msgspec.Struct, frozen=True):
    role: str
    name: str
    tool_call_id: str
    content: str


class _Function(msgspec.Struct, frozen=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _ChatTool(msgspec.Struct, frozen=True):
    type: Literal["function"]
    function: _Function


class _Named(msgspec.Struct, frozen=True):
    name: str


class _Choice(msgspec.Struct, frozen=True):
    type: Literal["function"]
    function: _Named


def of_query(body: dict[str, Any]) -> Wishes:
    """Read the three lists of a bot query. Raises Malformed."""
    tools = _read(body, "tools", list[_BotTool])
    calls = _read(body, "tool_calls", list[_Call])
    results = _read(body, "tool_results", list[_Result])
    known = {call.id: call.function for call in calls}
    if len(known) != len(calls):
        raise Malformed("tool_calls: two calls have the same id")
    for result in results:
        if result.tool_call_id not in known:
            raise Malformed(f"tool_results: no call has the id {result.tool_call_id}")
    if missing := known.keys() - {result.tool_call_id for result in results}:
        raise Malformed(f"tool_calls: no result for {', '.join(sorted(missing))}")
    # The library's model of a schema drops unknown keys; keep the schema as it was sent.
    schemas = [tool["function"]["parameters"] for tool in body.get("tools") or []]
    return Wishes(
        tuple(Tool(t.function.name, s) for t, s in zip(tools, schemas, strict=True)),
        tuple(_done(known[result.tool_call_id], result.content, None) for result in results),
    )


def of_chat(body: dict[str, Any], messages: list[Any], rounds: Literal["checked", "any"]) -> Wishes:
    """Read the tools, calls and results of a chat request. Raises Malformed.

    `messages` are objects with a role. With `rounds` "checked", each call needs its result right
    after it, as in OpenAI's own API.
    """
    given = _read(body, "tools", list[_ChatTool])
    tools = [Tool(t.function.name, t.function.parameters or {}) for t in given]
    if len({tool.name for tool in tools}) != len(tools):
        raise Malformed("tools: two functions have the same name")
    done = _done_in(messages, rounds)
    choice = body.get("tool_choice")
    parallel = body.get("parallel_tool_calls") is not False
    if choice is None:
        return Wishes(tuple(tools), done, False, parallel)
    if not tools:
        raise Malformed("tool_choice is only allowed when tools are specified")
    if choice == "none":
        return Wishes((), done)
    if choice in ("auto", "required"):
        return Wishes(tuple(tools), done, choice == "required", parallel)
    name = _convert(choice, _Choice, "tool_choice").function.name
    named = tuple(tool for tool in tools if tool.name == name)
    if not named:
        raise Malformed(f"tool_choice: no tool is named {name}")
    return Wishes(named, done, must_call=True, parallel=parallel)


def _done_in(messages: list[Any], rounds: Literal["checked", "any"]) -> tuple[Done, ...]:
    waiting: dict[str, _Called] = {}
    done = []
    users = 0
    for message in messages:
        if message["role"] == "tool":
            call_id = message.get("tool_call_id")
            if not isinstance(call_id, str):
                raise Malformed("A message with the role tool must have a tool_call_id")
            if call_id in waiting:
                done.append(_done(waiting.pop(call_id), _text(message), users))
            elif rounds == "checked":
                raise Malformed(f"No tool call before this message has the id {call_id}")
            continue
        if waiting and rounds == "checked":
            raise Malformed(f"These tool calls have no result: {', '.join(waiting)}")
        users += message["role"] == "user"
        calls = _read(message, "tool_calls", list[_Call])
        waiting |= {call.id: call.function for call in calls}
    if waiting and rounds == "checked":
        raise Malformed(f"These tool calls have no result: {', '.join(waiting)}")
    return tuple(done)


def _done(call: _Called, result: str, after: int | None) -> Done:
    return Done(call.name, call.arguments, result, after)


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))


def _read(holder: dict[str, Any], name: str, kind: type[list[_T]]) -> list[_T]:
    value = holder.get(name)
    return [] if value is None else _convert(value, kind, name)


def _convert(value: Any, kind: type[_T], name: str) -> _T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise Malformed(f"{name}: {error}") from None


def same_arguments(one: str, other: str) -> bool:
    """Return whether two texts are the same JSON or, if they are not JSON, equal."""
    try:
        return bool(orjson.loads(one) == orjson.loads(other))
    except orjson.JSONDecodeError:
        return one == other
