"""Messages of the role `system` amid a conversation, as Claude Code sends them.

Not every model takes them. One that does not gets their text from the user, in its place.
"""

from __future__ import annotations

import re

import msgspec

from worker.poe.raw_json import Path, edited

REFUSED: Path = ("messages", "role", "system")
"""What a model refuses that takes no such messages. As a path it leads nowhere."""

_WORDS = re.compile(
    r"messages\.\d+: Unexpected role .{0,3}system|messages\.\d+\.role: Input should be", re.I
)


class _Role(msgspec.Struct):
    role: str = ""


class _Messages(msgspec.Struct):
    messages: list[msgspec.Raw]


_role = msgspec.json.Decoder(_Role).decode
_messages = msgspec.json.Decoder(_Messages).decode


def messages_of(body: bytes) -> list[msgspec.Raw]:
    """Return the messages of a request. Raises msgspec.DecodeError where it has none."""
    return _messages(body).messages


def are_refused(body: bytes, message: str) -> bool:
    """Return whether an error refuses these messages, and the request has some."""
    return bool(_WORDS.match(message)) and any(map(_is_system, messages_of(body)))


def said_by_user(body: bytes) -> bytes:
    """Return the request with the role `user` in place of `system`.

    Raises msgspec.DecodeError where it has no messages.
    """
    messages = [
        msgspec.Raw(edited(bytes(each), {"role": b'"user"'})) if _is_system(each) else each
        for each in messages_of(body)
    ]
    return edited(body, {"messages": msgspec.json.encode(messages)})


def _is_system(message: msgspec.Raw) -> bool:
    return b'"system"' in bytes(message) and _role(message).role == "system"
