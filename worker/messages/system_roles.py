"""Messages of the role `system` amid a conversation, as Claude Code sends them.

Not every model takes them. One that does not gets their text from the user, in its place.
"""

from __future__ import annotations

import re

import msgspec

from worker.poe.raw_json import Path, edited

REFUSED: Path = ("messages", "role", "system")
"""What a model refuses that takes no such messages. As a path it leads nowhere."""

_WORDS = re.compile(r"unexpected role .{0,3}system|messages\.\d+\.role: Input should be", re.I)


class _Role(msgspec.Struct):
    role: str = ""


class _Messages(msgspec.Struct):
    messages: list[msgspec.Raw]


_role = msgspec.json.Decoder(_Role).decode
_messages = msgspec.json.Decoder(_Messages).decode


def are_refused(body: bytes, message: str) -> bool:
    """Return whether an error refuses these messages, and the request has some."""
    return bool(_WORDS.search(message)) and any(map(_is_system, _messages(body).messages))


def said_by_user(body: bytes) -> bytes:
    """Return the request with the role `user` in place of `system`.

    Raises msgspec.DecodeError where it has no messages.
    """
    messages = [
        msgspec.Raw(edited(bytes(each), {"role": b'"user"'})) if _is_system(each) else each
        for each in _messages(body).messages
    ]
    return edited(body, {"messages": msgspec.json.encode(messages)})


def _is_system(message: msgspec.Raw) -> bool:
    return b'"system"' in bytes(message) and _role(message).role == "system"
