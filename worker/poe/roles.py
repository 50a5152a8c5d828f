"""The setting `simulateRoles`: a conversation as one message, for bots that ignore roles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from contract.messages import Job, Message, Part, TextPart
from worker.poe.faults import Fault, FaultKind

_TITLES = {"system": "Instructions", "user": "User", "assistant": "Assistant", "tool": "User"}


def conversation_of(job: Job) -> tuple[Message, ...]:
    """Return what is asked. Raises Fault(BAD_REQUEST) for a conversation without messages."""
    if not job.messages:
        raise Fault(FaultKind.BAD_REQUEST, "The conversation has no messages.", sent=False)
    return job.messages


def flattened(messages: Sequence[Message], simulate_roles: Literal[0, 1, 2]) -> tuple[Message, ...]:
    """Return the conversation as the setting wants it.

    0 keeps the roles; 1 makes it one user message with a heading per message; 2 does the same,
    without headings where none are needed.
    """
    if not simulate_roles or not messages:
        return tuple(messages)
    plain = simulate_roles == 2 and _is_plain(messages)
    text = "".join(text_of(m) + "\n" for m in messages) if plain else _with_headings(messages)
    media = tuple(part for message in messages for part in message.media)
    content: str | tuple[Part, ...] = (TextPart(text), *media) if media else text
    return (Message("user", content),)


def text_of(message: Message) -> str:
    """Return a message as text, with its tool calls, or with the result that it is."""
    if message.role == "tool":
        return f"Result of the tool call {message.tool_call_id}:\n{message.text}"
    calls = [f"Tool call {c.id}: {c.name}({c.arguments})" for c in message.tool_calls]
    return "\n".join([message.text, *calls] if message.text else calls)


def _is_plain(messages: Sequence[Message]) -> bool:
    """Return whether it is clear without headings who speaks."""
    return [message.role for message in messages] in (["user"], ["system"], ["system", "user"])


def _with_headings(messages: Sequence[Message]) -> str:
    said = (f"||>{_TITLES[message.role]}:\n{text_of(message)}\n" for message in messages)
    return "".join(said) + "||>Assistant:\n"
