"""The input of a request, from its items to the messages of a conversation."""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from typing import Literal

import msgspec

from contract.messages import Message, ToolCall
from gateway.problems import invalid_request, invalid_value, missing, quoted
from gateway.render.openai_content import ContentReader
from gateway.render.parameters import call_arguments
from gateway.render.value_count import refuse_too_many_arguments
from gateway.responses import fields
from gateway.responses.tools import INPUT, Toolbox

MAX_ITEMS = 10_000

_Role = Literal["system", "user", "assistant", "tool"]
_ROLES: dict[str, _Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_OF_NO_USE = frozenset(
    {
        "reasoning",
        "web_search_call",
        "file_search_call",
        "tool_search_call",
        "tool_search_output",
        "image_generation_call",
        "code_interpreter_call",
        "mcp_list_tools",
        "compaction",
        "context_compaction",
        "compaction_summary",
        "compaction_trigger",
        "configuration_update",
    }
)
"""Items that tell how an answer came about, or that only OpenAI can read: no model is told its own
thoughts, and what a search found stands in the message behind it."""

_PARTS = "input_text, output_text, refusal, input_image, input_audio and input_file"


_items = msgspec.json.Decoder(str | list[fields.Item]).decode


def conversation(
    asked: fields.CreateResponse, box: Toolbox, earlier: Sequence[bytes] = ()
) -> tuple[Message, ...]:
    """Return the messages of a request: instructions, then what it goes on from. Raises Problem.

    `earlier` are inputs and outputs of earlier requests, as JSON.
    """
    if asked.input is None:
        raise missing("input")
    reader = _ItemReader(box)
    reader.read(asked.instructions or (), "instructions", "developer")
    for items in earlier:
        reader.read(_items(items), "previous_response_id", "user")
    before = len(reader.messages)
    reader.read(asked.input, "input", "user")
    messages = tuple(reader.whole())
    if len(reader.messages) == before or not messages:
        raise invalid_value("input", "it holds no message")
    refuse_too_many_arguments(call.arguments for each in messages for call in each.tool_calls)
    return messages


class _ItemReader:
    """Collects the messages of one request."""

    def __init__(self, box: Toolbox) -> None:
        self.messages: list[Message] = []
        self._box = box
        self._contents = ContentReader(_PARTS)
        self._count = 0
        self._cut: set[str] = set()
        """The calls that were cut off, of which no result has come."""

    def whole(self) -> list[Message]:
        """Return the messages without the calls that were cut off, unless they have results.

        Nobody can run such a call, and no model takes a conversation with a call without a result.
        """
        if not self._cut:
            return self.messages
        kept = [_without_calls(message, self._cut) for message in self.messages]
        return [message for message in kept if message is not None]

    def read(self, items: str | list[fields.Item] | tuple[()], path: str, role: str) -> None:
        """Take a text of this role, or items."""
        if isinstance(items, str):
            items = [fields.Item(role=role, content=items)]
        self._count += len(items)
        if self._count > MAX_ITEMS:
            raise invalid_value(path, f"the conversation has more than {MAX_ITEMS} items")
        for i, item in enumerate(items):
            self._take(item, f"{path}[{i}]")

    def _take(self, item: fields.Item, path: str) -> None:
        match item.type:
            case "agent_message":  # Codex's, of one agent to another
                content = self._contents.read(item.content, f"{path}.content")
                self.messages.append(Message("user", content))
            case None | "message":
                self.messages.append(self._message(item, path))
            case "function_call" | "custom_tool_call":
                self._call(item, path)
            case "function_call_output" | "custom_tool_call_output":
                if not item.call_id:
                    raise missing(f"{path}.call_id")
                self._cut.discard(item.call_id)
                content = self._contents.read(item.output, f"{path}.output")
                self.messages.append(Message("tool", content, tool_call_id=item.call_id))
            case "item_reference":
                reason = "this server keeps no items; send the item itself"
                raise invalid_value(path, reason)
            case kind if kind not in _OF_NO_USE:
                raise invalid_request(
                    f"'{path}' is of type {quoted(kind)}; supported are message, reasoning,"
                    " function_call, function_call_output, custom_tool_call and"
                    " custom_tool_call_output.",
                    f"{path}.type",
                    "unsupported_content",
                )

    def _message(self, item: fields.Item, path: str) -> Message:
        if item.role is None:
            raise missing(f"{path}.role")
        role = _ROLES.get(item.role)
        if role is None:
            reason = f"{quoted(item.role)} is not one of {', '.join(_ROLES)}"
            raise invalid_value(f"{path}.role", reason)
        return Message(role, self._contents.read(item.content, f"{path}.content"))

    def _call(self, item: fields.Item, path: str) -> None:
        """Add a call to the message that it belongs to: that of the model's before it."""
        if not item.name:
            raise missing(f"{path}.name")
        name = self._box.flat(item.namespace or "", item.name)
        call = ToolCall(item.call_id or "", name, _arguments(item, path))
        if item.status == "incomplete":
            self._cut.add(call.id)
        if not self.messages or self.messages[-1].role != "assistant":
            self.messages.append(Message("assistant", ""))
        last = self.messages[-1]
        self.messages[-1] = msgspec.structs.replace(last, tool_calls=(*last.tool_calls, call))


def _without_calls(message: Message, ids: Set[str]) -> Message | None:
    """Return the message without these calls; None: nothing is left of it."""
    calls = tuple(call for call in message.tool_calls if call.id not in ids)
    if len(calls) == len(message.tool_calls):
        return message
    is_empty = not (calls or message.content)
    return None if is_empty else msgspec.structs.replace(message, tool_calls=calls)


def _arguments(item: fields.Item, path: str) -> str:
    if item.type == "custom_tool_call":
        return json.dumps({INPUT: item.input or ""}, ensure_ascii=False)
    return call_arguments(item.arguments, f"{path}.arguments")
