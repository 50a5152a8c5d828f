"""The content of attachments, taken out of the messages that a client has sent. Pure.

It is stored in Redis beside the job, once for all requests that have it; the messages name it by
its digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from contract.messages import MediaPart, Message, Part

Blobs = Mapping[str, bytes]
"""Contents by their SHA-256 in hex."""


def detached(messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], Blobs]:
    """Return the messages without the data in their URLs, and that data.

    The URLs are https:, http:, or data: with valid base64, as `parse` of each dialect leaves them.
    """
    blobs: dict[str, bytes] = {}
    return tuple(_detached(message, blobs) for message in messages), blobs


def _detached(message: Message, blobs: dict[str, bytes]) -> Message:
    if isinstance(message.content, str):
        return message
    content = tuple(_named(part, blobs) for part in message.content)
    return msgspec.structs.replace(message, content=content)


def _named(part: Part, blobs: dict[str, bytes]) -> Part:
    """Return the part with a digest in place of its data, which goes into `blobs`."""
    if not isinstance(part, MediaPart) or part.url[:5].lower() != "data:":
        return part
    data = _decoded(part.url)
    digest = sha256(data).hexdigest()
    blobs[digest] = data
    return msgspec.structs.replace(part, url="", digest=digest, size=len(data))


def _decoded(url: str) -> bytes:
    # msgspec decodes base64 three times as fast as binascii.
    return msgspec.convert(url[url.index(",") + 1 :], bytes)
