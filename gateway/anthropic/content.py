"""The blocks of a message: text, and images and documents by their data or URL.

Blocks of types that are unknown here are text if they have any, and else left out: what comes next
year must not end a conversation.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Iterable

import msgspec

from contract.messages import MediaPart, Part, TextPart
from gateway.anthropic import fields
from gateway.problems import missing
from gateway.render.body import decode_within
from gateway.render.content import MediaCount, file, holds_thoughts, image, no_stored_files

_PDF = "application/pdf"

_SOURCES = ("base64", "url", "file")
"""What the content of a file comes from; what comes next year is left out, as blocks are."""


class BlockReader:
    """Reads the blocks of one request, all of which share a bound of media."""

    def __init__(self) -> None:
        self._media = MediaCount()

    def parts(self, content: fields.Content, path: str) -> list[Part]:
        """Return the parts of a content. Raises Problem."""
        if content is None or isinstance(content, str):
            return [TextPart(content)] if content else []
        blocks = ((block, f"{path}[{i}]") for i, block in enumerate(content))
        return [part for block, at in blocks for part in self.block(block, at)]

    def block(self, block: msgspec.Raw, path: str) -> list[Part]:
        """Return the parts of one block, none for one that no model is told. Raises Problem."""
        match type_of(block, path):
            case "image":
                return self._image(decode_within(block, fields.Image, path).source, path)
            case "document":
                return self._document(decode_within(block, fields.Document, path), path)
            case "search_result":
                return self._search_result(decode_within(block, fields.SearchResult, path), path)
            case kind if kind is None or holds_thoughts(kind):
                return []
            case _:
                return _text(decode_within(block, fields.Text, path))

    def _image(self, source: fields.Source, path: str) -> list[Part]:
        if source.type not in _SOURCES:
            return []
        self._media.add(path)
        match source:
            case fields.Source(type="base64", data=str(data)):
                media_type = source.media_type or "image/png"
                return [image(f"data:{media_type};base64,{data}", f"{path}.source.data")]
            case fields.Source(type="url", url=str(url)):
                return [image(url, f"{path}.source.url")]
            case _:
                raise _no_source(source, path)

    def _document(self, document: fields.Document, path: str) -> list[Part]:
        source, about = document.source, _about(document)
        if source.type == "text":
            return [TextPart("\n".join([*about, source.data or ""]))]
        if source.type == "content":
            inner = self.parts(source.content, f"{path}.source.content")
            return [*(TextPart(text) for text in about), *inner]
        if source.type not in _SOURCES:
            return [TextPart(text) for text in about]
        self._media.add(path)
        media = _file(document, path)
        return [TextPart(document.context), media] if document.context else [media]

    def _search_result(self, result: fields.SearchResult, path: str) -> list[Part]:
        about = [text for text in (result.title, result.source) if text]
        return [
            *([TextPart("\n".join(about))] if about else []),
            *self.parts(result.content, f"{path}.content"),
        ]


def type_of(raw: msgspec.Raw, path: str) -> str | None:
    """Return the type of a block or a tool; None: it has none. Raises Problem for no object."""
    kind = decode_within(raw, fields.Typed, path).type
    return kind if isinstance(kind, str) else None


def joined(parts: Iterable[Part]) -> str | tuple[Part, ...]:
    """Return text alone as a string, and anything else as parts."""
    parts = tuple(parts)
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    return "\n".join(texts) if len(texts) == len(parts) else parts


def _text(block: fields.Text) -> list[Part]:
    if isinstance(block.tool_name, str):
        return [TextPart(f"The tool {block.tool_name} can be called.")]
    return [TextPart(block.text)] if isinstance(block.text, str) and block.text else []


def _about(document: fields.Document) -> list[str]:
    return [text for text in (document.title, document.context) if text]


def _file(document: fields.Document, path: str) -> MediaPart:
    match document.source:
        case fields.Source(type="base64", data=str(data), media_type=media_type):
            media_type = media_type or _PDF
            name = document.title or f"document{mimetypes.guess_extension(media_type) or ''}"
            url = f"data:{media_type};base64,{data}"
            return file(name, f"{path}.source.data", data=url)
        case fields.Source(type="url", url=str(url)):
            return file(document.title or "", f"{path}.source.url", url=url)
        case source:
            raise _no_source(source, path)


def _no_source(source: fields.Source, path: str) -> Exception:
    match source.type:
        case "base64":
            return missing(f"{path}.source.data")
        case "url":
            return missing(f"{path}.source.url")
        case _:
            return no_stored_files(f"{path}.source.file_id")
