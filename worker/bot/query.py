"""A job as the body of a bot query (creator.poe.com/docs/poe-protocol-specification).

Only what was asked for is sent. The official client also sends every default and null; clients
that do not are answered all the same.
"""

from __future__ import annotations

import msgspec

from contract.messages import Job, Message
from worker.poe.faults import Fault, FaultKind

PROTOCOL_VERSION = "1.2"

_ROLES = {"system": "system", "user": "user", "assistant": "bot", "tool": "user"}
_TITLES = {"system": "Instructions", "user": "User", "assistant": "Assistant", "tool": "User"}


class ProtocolMessage(msgspec.Struct, frozen=True):
    """One message of the conversation, in Poe's terms."""

    role: str
    content: str
    content_type: str = "text/markdown"


class Query(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of `POST /bot/{bot}`; the three ids are empty for callers with an API key."""

    version: str
    type: str
    query: list[ProtocolMessage]
    user_id: str
    conversation_id: str
    message_id: str
    temperature: float | None = None
    stop_sequences: tuple[str, ...] = ()
    logit_bias: dict[str, float] | None = None


def query_of(job: Job, simulate_roles: int = 0) -> Query:
    """Translate a job.

    `simulate_roles` is the setting of that name: 0 sends real roles; 1 flattens the conversation
    into one user message with a heading per message; 2 flattens too, but without headings where
    none are needed. Raises Fault(BAD_REQUEST) for a conversation without messages, to which
    Poe's own server library answers with an IndexError.
    """
    if not job.messages:
        raise Fault(FaultKind.BAD_REQUEST, "The conversation has no messages.", sent=False)
    return Query(
        version=PROTOCOL_VERSION,
        type="query",
        query=_messages(job.messages, simulate_roles),
        user_id="",
        conversation_id="",
        message_id="",
        temperature=job.options.temperature,
        stop_sequences=job.options.stop,
        logit_bias=job.options.logit_bias or None,
    )


def _messages(messages: tuple[Message, ...], simulate_roles: int) -> list[ProtocolMessage]:
    if simulate_roles == 1 or (simulate_roles == 2 and not _is_plain(messages)):
        return [ProtocolMessage("user", _with_headings(messages))]
    if simulate_roles == 2:
        return [ProtocolMessage("user", "".join(_content(m) + "\n" for m in messages))]
    return [ProtocolMessage(_ROLES[message.role], _content(message)) for message in messages]


def _is_plain(messages: tuple[Message, ...]) -> bool:
    """Tell whether a reader needs no headings to know who speaks."""
    return [message.role for message in messages] in (["user"], ["system"], ["system", "user"])


def _with_headings(messages: tuple[Message, ...]) -> str:
    said = (f"||>{_TITLES[message.role]}:\n{_content(message)}\n" for message in messages)
    return "".join(said) + "||>Assistant:\n"


def _content(message: Message) -> str:
    """Write tool calls and results as text.

    Poe's own lists for them hold one round only and need the tools' definitions beside them.
    """
    if message.role == "tool":
        return f"Result of the tool call {message.tool_call_id}:\n{message.text}"
    calls = [f"Tool call {c.id}: {c.name}({c.arguments})" for c in message.tool_calls]
    return "\n".join([message.text, *calls] if message.text else calls)
