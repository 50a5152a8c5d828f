"""Moves past tool calls and their results into Poe's own lists, beside the conversation.

Poe has one flat list of each and no word on how they stand to the messages:

    user       What is the weather in Paris?          query         user       What is …?
    assistant  (call c1)                     becomes                user       And tomorrow?
    tool       (result of c1)                         tool_calls    c1
    user       And tomorrow?                          tool_results  c1

Its own library fills them with a single round. All rounds go there, in the order of the results:
a model that reads earlier calls as text answers with such text instead of calling. Calls without
a result and results without a call stay with the messages, since providers refuse the odd ones;
so do results with attachments, which Poe's have no room for.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from contract.messages import Message, ToolCall


class CalledFunction(msgspec.Struct, frozen=True):
    """The function that was called, with its arguments as JSON."""

    name: str
    arguments: str


class PastCall(msgspec.Struct, frozen=True, tag="function", tag_field="type"):
    """One entry of `tool_calls`."""

    id: str
    function: CalledFunction


class PastResult(msgspec.Struct, frozen=True, tag="tool", tag_field="role"):
    """One entry of `tool_results`; Poe's library requires the function's name."""

    name: str
    tool_call_id: str
    content: str


class Rounds(msgspec.Struct, frozen=True):
    """A conversation with its answered tool calls taken out."""

    messages: tuple[Message, ...]
    calls: tuple[PastCall, ...] = ()
    results: tuple[PastResult, ...] = ()


def rounds_of(messages: Iterable[Message]) -> Rounds:
    """Take out every tool call that has a result, and the result.

    A message of which nothing is left is dropped. A result belongs to the latest call of its id,
    since some clients count from the beginning in each round. In Poe's lists the ids are made
    unique.
    """
    rest: list[Message | None] = []
    waiting: dict[str, tuple[int, ToolCall]] = {}
    calls: dict[str, PastCall] = {}
    results: list[PastResult] = []
    for position, message in enumerate(messages):
        rest.append(message)
        waiting |= {call.id: (position, call) for call in message.tool_calls}
        if message.role != "tool" or message.media or message.tool_call_id not in waiting:
            continue
        asked_at, call = waiting.pop(message.tool_call_id)
        rest[position] = None
        rest[asked_at] = _without(rest[asked_at], call)
        call_id = _unused(call.id, calls)
        calls[call_id] = PastCall(call_id, CalledFunction(call.name, call.arguments))
        results.append(PastResult(call.name, call_id, message.text))
    left = tuple(message for message in rest if message is not None)
    return Rounds(left, tuple(calls.values()), tuple(results))


def _without(message: Message | None, call: ToolCall) -> Message | None:
    if message is None:
        return None
    left = tuple(each for each in message.tool_calls if each is not call)
    if not left and not message.text and not message.media:
        return None
    return msgspec.structs.replace(message, tool_calls=left)


def _unused(call_id: str, used: dict[str, PastCall]) -> str:
    if call_id not in used:
        return call_id
    return _unused(f"{call_id}_{len(used)}", used)
