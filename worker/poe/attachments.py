"""Attachments, as Poe takes them: a URL, a media type and a name.

A file of Poe's own is attached as it is. Any other must be uploaded first: Poe takes no `data:` URL
in an attachment, and whether it takes a foreign one is not documented. Poe fetches the content of a
URL itself, so no process of ours ever opens an address that a client names.
"""

from __future__ import annotations

import binascii
import mimetypes
import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import SplitResult, unquote, unquote_to_bytes, urlsplit

import msgspec

from contract.messages import MediaPart, Message
from worker.poe.faults import Fault, FaultKind

MAX_ATTACHMENTS = 100
"""Attachments of one request. Poe documents no bound; providers take as many images."""

MAX_SIZE = 20 * 1024 * 1024
"""Bytes of one attachment that came in a `data:` URL. Poe documents no bound here either."""

_USUAL_TYPES: dict[Literal["image", "audio", "file"], str] = {
    "image": "image/png",
    "audio": "audio/mpeg",
    "file": "application/octet-stream",
}
"""The type of an attachment that has none: Poe's library requires one."""

_SHORT = re.compile(r"[a-z0-9]{1,5}")
_SPACE = b" \t\r\n"


class Attachment(msgspec.Struct, frozen=True):
    """One attachment of a message, in Poe's terms; its library requires all three fields."""

    url: str
    content_type: str
    name: str


def attachments_in(messages: Iterable[Message]) -> dict[MediaPart, str]:
    """Return each different part that is not text, with the place of its first occurrence.

    The place is for the beginning of a sentence: "Attachment 2 of message 3". Raises
    Fault(BAD_REQUEST) where there are more than `MAX_ATTACHMENTS`.
    """
    found: dict[MediaPart, str] = {}
    count = 0
    for position, message in enumerate(messages, 1):
        for number, part in enumerate(message.media, 1):
            count += 1
            found.setdefault(part, f"Attachment {number} of message {position}")
    if count > MAX_ATTACHMENTS:
        raise _bad_request(f"The request has {count} attachments, more than {MAX_ATTACHMENTS}.")
    return found


def is_poes_own(url: str) -> bool:
    """Return whether Poe serves this file: Poe made it, or it was uploaded to Poe."""
    parts = _split(url)
    return parts.scheme == "https" and (parts.hostname or "").endswith(".poecdn.net")


def is_data(url: str) -> bool:
    """Return whether the URL holds the content."""
    return url[:5].lower() == "data:"


def is_sent_along(part: MediaPart) -> bool:
    """Return whether the request came with the content, rather than with its address."""
    return bool(part.digest) or is_data(part.url)


def data_of(url: str) -> bytes:
    """Decode a `data:` URL (RFC 2397). Raises Fault(BAD_REQUEST)."""
    head, comma, body = url.partition(",")
    if not comma:
        raise _bad_request("Its data: URL has no comma.")
    encoded = head.lower().endswith(";base64")
    data = unquote_to_bytes(body)
    if encoded:
        data = _from_base64(data)
    if len(data) > MAX_SIZE:
        raise _bad_request(f"It is larger than {MAX_SIZE // 1024 // 1024} MiB.")
    return data


def media_type_of(part: MediaPart) -> str:
    """Return the part's media type, guessed if it has none."""
    if part.media_type:
        return part.media_type
    if is_data(part.url):
        told = part.url[5:].partition(",")[0].partition(";")[0].strip().lower()
    else:
        told = mimetypes.guess_type(_last_of_path(part.url))[0] or ""
    return told or _USUAL_TYPES[part.kind]


def name_of(part: MediaPart) -> str:
    """Return the part's name, or one with the usual ending of its type."""
    if part.name:
        return part.name
    if not is_data(part.url) and (name := _last_of_path(part.url)):
        return name
    return part.kind + _ending(media_type_of(part))


def attachment(part: MediaPart, url: str, media_type: str = "") -> Attachment:
    """Return the part as an attachment that is at `url`; `media_type` is Poe's, if known."""
    return Attachment(url, media_type or media_type_of(part), name_of(part))


def _from_base64(data: bytes) -> bytes:
    data = data.translate(None, _SPACE).rstrip(b"=")
    try:
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except binascii.Error:
        raise _bad_request("Its base64 is malformed.") from None


def _last_of_path(url: str) -> str:
    return unquote(_split(url).path.rstrip("/").rpartition("/")[2])


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        # Such as an unclosed bracket around the host. Poe will say what is wrong with it.
        return SplitResult("", "", "", "", "")


def _ending(media_type: str) -> str:
    media_type = media_type.partition(";")[0].strip()
    if known := mimetypes.guess_extension(media_type, strict=False):
        return known
    subtype = media_type.rpartition("/")[2]
    return f".{subtype}" if _SHORT.fullmatch(subtype) else ""


def _bad_request(message: str) -> Fault:
    return Fault(FaultKind.BAD_REQUEST, message, sent=False)
