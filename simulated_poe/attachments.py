"""What a message holds beside its text, on either interface."""

from __future__ import annotations

import mimetypes
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from simulated_poe.failures import Malformed

_CDN = ".poecdn.net"


class Attachment(msgspec.Struct, frozen=True):
    """An attachment; Poe's own library requires the first three fields."""

    url: str
    content_type: str
    name: str
    inline_ref: str | None = None
    parsed_content: str | None = None

    def __str__(self) -> str:
        where = f"{len(self.url)} characters" if self.url.startswith("data:") else self.url
        return f"{self.name} ({self.content_type}): {where}"

    @property
    def is_poes(self) -> bool:
        """Whether Poe serves the file."""
        return (urlsplit(self.url).hostname or "").endswith(_CDN)


class _Image(msgspec.Struct, frozen=True):
    url: str
    detail: str | None = None


class _ImagePart(msgspec.Struct, frozen=True):
    image_url: _Image


class _File(msgspec.Struct, frozen=True):
    file_data: str
    filename: str | None = None


class _FilePart(msgspec.Struct, frozen=True):
    file: _File


class _Audio(msgspec.Struct, frozen=True):
    data: str
    format: str


class _AudioPart(msgspec.Struct, frozen=True):
    input_audio: _Audio


class _TextPart(msgspec.Struct, frozen=True):
    text: str


_KINDS: dict[str, type[_ImagePart | _FilePart | _AudioPart | _TextPart]] = {
    "text": _TextPart,
    "image_url": _ImagePart,
    "file": _FilePart,
    "input_audio": _AudioPart,
}


def of_message(message: dict[str, Any]) -> list[Attachment]:
    """Read the attachments of a message of the bot protocol. Raises Malformed."""
    given = message.get("attachments") or []
    try:
        found = msgspec.convert(given, list[Attachment])
    except msgspec.ValidationError as error:
        raise Malformed(f"attachments: {error}") from None
    for attachment in found:
        if urlsplit(attachment.url).scheme not in ("http", "https"):
            raise Malformed("attachments: url must begin with https://")
    return found


def of_parts(parts: list[Any]) -> list[Attachment]:
    """Read the non-text parts of a chat message's content. Raises Malformed.

    Poe accepts audio as a `file`; it strips `input_audio`, so that is not returned.
    """
    found = []
    for part in parts:
        match _part(part):
            case _ImagePart(image):
                _check_url(image.url, ("http", "https", "data"))
                found.append(Attachment(image.url, _type_of(image.url), "image_url"))
            case _FilePart(file):
                _check_url(file.file_data, ("data",))
                name = file.filename or "file"
                found.append(Attachment(file.file_data, _type_of(file.file_data), name))
    return found


def _part(part: Any) -> _ImagePart | _FilePart | _AudioPart | _TextPart:
    kind = _KINDS.get(str(part.get("type"))) if isinstance(part, dict) else None
    if kind is None:
        raise Malformed(f"A part's type must be one of {', '.join(_KINDS)}")
    try:
        return msgspec.convert(part, kind)
    except msgspec.ValidationError as error:
        raise Malformed(f"A part of type {part['type']}: {error}") from None


def _check_url(url: str, schemes: tuple[Literal["http", "https", "data"], ...]) -> None:
    if url.partition(":")[0].lower() not in schemes:
        raise Malformed(f"A file's URL must begin with one of {', '.join(schemes)}")
    if url[:5].lower() == "data:" and ";base64," not in url[:200]:
        raise Malformed("A data: URL must be in base64")


def _type_of(url: str) -> str:
    if url[:5].lower() == "data:":
        return url[5:].partition(";")[0]
    return mimetypes.guess_type(urlsplit(url).path)[0] or "application/octet-stream"
