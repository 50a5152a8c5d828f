"""The messages of a request, in the contract's words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from contract.messages import MediaPart, Message, Part, TextPart, ToolCall
from gateway.anthropic import fields
from gateway.anthropic.content import BlockReader, joined, type_of
from gateway.problems import invalid_value, missing, quoted
from gateway.render.body import bounded, decode_within
from gateway.render.value_count import refuse_too_many_arguments

MAX_MESSAGES = 10_000

BILLING = "x-anthropic-billing-header:"
"""Begins a block of Claude Code's system prompt that is meant for Anthropic's billing only."""

_Role = Literal["system", "user", "assistant"]
_ROLES: dict[str, _Role] = {"system": "system", "user": "user", "assistant": "assistant"}


def conversation(asked: fields.CreateMessage) -> tuple[Message, ...]:
    """Return the messages of a request, its system prompt first. Raises Problem."""
    if asked.messages is None:
        raise missing("messages")
    if len(asked.messages) > MAX_MESSAGES:
        raise invalid_value("messages", f"it has more than {MAX_MESSAGES} messages")
    reader = _MessageReader()
    reader.read_system(asked.system)
    before = len(reader.messages)
    for i, message in enumerate(asked.messages):
        reader.read(decode_within(message, fields.Message, f"messages[{i}]"), f"messages[{i}]")
    if len(reader.messages) == before:
        raise invalid_value("messages", "it holds no message with content")
    messages = tuple(reader.messages)
    refuse_too_many_arguments(call.arguments for each in messages for call in each.tool_calls)
    return messages


class _MessageReader:
    """Collects the messages of one request."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._blocks = BlockReader()

    def read_system(self, system: fields.Content) -> None:
        parts = self._blocks.parts(system, "system")
        told = [part for part in parts if not _is_billing(part)]
        self._add("system", told)

    def read(self, message: fields.Message, path: str) -> None:
        role = _ROLES.get(message.role)
        if role is None:
            reason = f"{quoted(message.role)} is not one of {', '.join(_ROLES)}"
            raise invalid_value(f"{path}.role", reason)
        if not isinstance(message.content, list):
            self._add(role, self._blocks.parts(message.content, f"{path}.content"))
        elif role == "assistant":
            self._answer(message.content, f"{path}.content")
        else:
            self._question(role, message.content, f"{path}.content")

    def _add(self, role: _Role, parts: Sequence[Part], calls: Sequence[ToolCall] = ()) -> None:
        if parts or calls:
            self.messages.append(Message(role, joined(parts), tool_calls=tuple(calls)))

    def _answer(self, blocks: Sequence[msgspec.Raw], path: str) -> None:
        parts: list[Part] = []
        calls: list[ToolCall] = []
        for i, block in enumerate(blocks):
            at = f"{path}[{i}]"
            if type_of(block, at) == "tool_use":
                calls.append(_call(decode_within(block, fields.ToolUse, at), at))
            else:
                parts += self._blocks.block(block, at)
        self._add("assistant", parts, calls)

    def _question(self, role: _Role, blocks: Sequence[msgspec.Raw], path: str) -> None:
        """Take the results of tools as messages of their own, and all else as one behind them."""
        rest: list[Part] = []
        for i, block in enumerate(blocks):
            at = f"{path}[{i}]"
            if type_of(block, at) == "tool_result":
                rest += self._result(decode_within(block, fields.ToolResult, at), at)
            else:
                rest += self._blocks.block(block, at)
        self._add(role, rest)

    def _result(self, result: fields.ToolResult, path: str) -> list[Part]:
        """Add the result of a tool; return what is no text, for the user's message behind it.

        Chat completions have no other place for it.
        """
        parts = self._blocks.parts(result.content, f"{path}.content")
        text = "\n".join(part.text for part in parts if isinstance(part, TextPart))
        media: list[Part] = [part for part in parts if isinstance(part, MediaPart)]
        if media:
            text = f"{text}\n(Its files follow.)".lstrip()
        if result.is_error:
            text = f"Error: {text or 'the tool failed'}"
        call_id = result.tool_use_id
        self.messages.append(Message("tool", text, tool_call_id=call_id))
        return [TextPart(f"Files of the result of {call_id}:"), *media] if media else []


def _is_billing(part: Part) -> bool:
    return isinstance(part, TextPart) and part.text.startswith(BILLING)


def _call(use: fields.ToolUse, path: str) -> ToolCall:
    given = {} if use.input is None else bounded(use.input, f"{path}.input")
    return ToolCall(use.id, use.name, msgspec.json.encode(given).decode())
