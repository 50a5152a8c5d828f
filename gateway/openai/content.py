"""The contents of messages: text, and images, recordings and files by their URL.

No URL is opened here. One that is `data:` is known to be base64 within bounds; whether what is in
it is an image is for the model to say.
"""

from __future__ import annotations

import mimetypes
import re
import string
from typing import Literal
from urllib.parse import unquote_to_bytes

from contract.messages import MediaPart, Part, TextPart
from gateway.openai import fields
from gateway.problems import Problem, invalid_request, invalid_value, missing, quoted

MAX_MEDIA = 100
"""Images, recordings and files in all messages of one request."""
MAX_SIZE = 20 * 1024 * 1024
"""Bytes of one of them, decoded."""
MAX_URL = 8_192
"""Characters of a URL that holds no data."""
_MAX_NAME = 256

_Kind = Literal["image", "audio", "file"]

_WEB_URL = re.compile(r"https?://[^\s/?#]+\S*", re.IGNORECASE)
_DATA_URL = re.compile(
    r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w.-]+=[^;,]{0,256})*\s{0,8};\s{0,8}base64\s{0,8},",
    re.IGNORECASE | re.ASCII,
)
_AUDIO_FORMAT = re.compile(r"[\w.+-]{1,32}", re.ASCII)
_SPACES = b" \t\r\n\v\f"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BASE64 = f"{string.ascii_letters}{string.digits}+/".encode()
_THOUGHTS = re.compile(
    r"(?:redacted[_.-])?(?:thinking|thoughts?|reasoning)(?:[_.-]\w{1,32})?|summary_text", re.ASCII
)
"""What clients that keep a model's thoughts call the parts that hold them."""
_DETAILS = {"auto", "low", "high", "original"}
_UNKNOWN_TYPE = "application/octet-stream"


class ContentReader:
    """Reads the contents of one request, all of which share a bound."""

    def __init__(self) -> None:
        self._media = 0

    def read(
        self, content: str | list[fields.Part | None] | None, path: str
    ) -> str | tuple[Part, ...]:
        """Return text as a string, and anything else as parts. Raises Problem (400).

        Thoughts are left out, as `reasoning_content` is: no model is told its own.
        """
        if content is None or isinstance(content, str):
            return content or ""
        parts = tuple(
            self._part(part, f"{path}[{i}]")
            for i, part in enumerate(content)
            if part is not None and not _THOUGHTS.fullmatch(part.type)
        )
        texts = [part.text for part in parts if isinstance(part, TextPart)]
        # Parts are blocks, not fragments: clients leave it to the server to keep them apart.
        return "\n".join(texts) if len(texts) == len(parts) else parts

    def _part(self, part: fields.Part, path: str) -> Part:
        match part.type:
            case "text" | "input_text" | "output_text":
                return TextPart(_required(part.text, f"{path}.text"))
            case "refusal":
                return TextPart(_required(part.refusal, f"{path}.refusal"))
            case "image_url" | "input_image":
                media = _image(part, path)
            case "input_audio":
                media = _audio(part, path)
            case "file" | "input_file":
                media = _file(part, path)
            case _:
                raise invalid_request(
                    f"'{path}' is of type {quoted(part.type)}; supported are text, image_url,"
                    " input_audio and file.",
                    path,
                    "unsupported_content",
                )
        self._media += 1
        if self._media > MAX_MEDIA:
            message = f"The messages hold more than {MAX_MEDIA} images, recordings and files."
            raise invalid_request(message, path, "too_many_files")
        return media


def _image(part: fields.Part, path: str) -> MediaPart:
    match part.image_url:
        case fields.ImageUrl(url=url, detail=detail):
            place = f"{path}.image_url.url"
        case str(url):
            detail, place = part.detail, f"{path}.image_url"
        case _ if part.file_id:
            raise _no_files(f"{path}.file_id")
        case _:
            raise missing(f"{path}.image_url")
    url, media_type = _checked(url, place)
    kind = _kind(media_type, "image")
    return MediaPart(kind, url, media_type, detail=detail if detail in _DETAILS else "")


def _audio(part: fields.Part, path: str) -> MediaPart:
    audio = part.input_audio
    if audio is None:
        raise missing(f"{path}.input_audio")
    if not _AUDIO_FORMAT.fullmatch(audio.format):
        place = f"{path}.input_audio.format"
        raise invalid_value(place, f"{quoted(audio.format)} is no format such as wav or mp3")
    audio_format = audio.format.lower()
    media_type = f"audio/{'mpeg' if audio_format == 'mp3' else audio_format}"
    place = f"{path}.input_audio.data"
    url, told = _checked(_data_url(audio.data, media_type), place)
    return MediaPart("audio", url, told or media_type)


def _file(part: fields.Part, path: str) -> MediaPart:
    file = part.file
    if file is not None:
        path = f"{path}.file"
    elif part.type == "file":
        raise missing(f"{path}.file")
    else:
        file = fields.File(part.filename, part.file_data, part.file_url, part.file_id)
    name = "".join(filter(str.isprintable, file.filename or ""))[:_MAX_NAME]
    media_type = mimetypes.guess_type(name)[0] or _UNKNOWN_TYPE
    if file.file_data:
        url, told = _checked(_data_url(file.file_data, media_type), f"{path}.file_data")
    elif file.file_url:
        url, told = _checked(file.file_url, f"{path}.file_url")
    elif file.file_id:
        raise _no_files(f"{path}.file_id")
    else:
        raise missing(f"{path}.file_data")
    if told in ("", _UNKNOWN_TYPE) and media_type != _UNKNOWN_TYPE:
        told = media_type
    return MediaPart(_kind(told, "file"), url, told, name)


def _kind(media_type: str, otherwise: _Kind) -> _Kind:
    """Return what the type says: clients put images into `file`, and PDFs into `image_url`."""
    if media_type in ("", _UNKNOWN_TYPE):
        return otherwise
    kinds: dict[str, _Kind] = {"image": "image", "audio": "audio"}
    return kinds.get(media_type.partition("/")[0], "file")


def _data_url(data: str, media_type: str) -> str:
    """Return what is a URL already as it is; else it is bare base64."""
    return data if data[:5].lower() == "data:" else f"data:{media_type};base64,{data}"


def _checked(url: str, place: str) -> tuple[str, str]:
    """Return the URL and the media type that it tells. Raises Problem (400)."""
    url = url.strip()
    if url[:5].lower() == "data:":
        return _checked_data(url, place)
    if len(url) > MAX_URL:
        raise invalid_value(place, f"a URL has at most {MAX_URL} characters, unless it is data:")
    if not _WEB_URL.fullmatch(url) or not url.isprintable():
        raise invalid_value(place, "it is no URL that begins with https:, http: or data:")
    return url, ""


def _checked_data(url: str, place: str) -> tuple[str, str]:
    header = _DATA_URL.match(url)
    if header is None:
        raise invalid_value(place, "a data: URL is like data:image/png;base64,<data>")
    # No need to copy what is far too large.
    data = url[header.end() : header.end() + 2 * MAX_SIZE].encode("utf-8")
    media_type = (header["type"] or "").lower()
    if not _is_strict(data):
        data = _strict(data)
        url = f"data:{media_type or _UNKNOWN_TYPE};base64,{data.decode('ascii', 'replace')}"
    if not _is_strict(data):
        raise invalid_value(place, "its data is not base64")
    if len(data) // 4 * 3 - data[-2:].count(b"=") > MAX_SIZE:
        message = f"Invalid '{place}': at most {MAX_SIZE // 2**20} MiB are passed on."
        raise invalid_request(message, place, "file_too_large")
    return url, media_type


def _is_strict(data: bytes) -> bool:
    """Return whether this is base64 (RFC 4648, section 4) of at least one byte."""
    # This is several times faster than to decode it, and images are large.
    padding = data.translate(None, _BASE64)
    padded = padding in (b"", b"=", b"==") and data.endswith(padding)
    return bool(data) and not len(data) % 4 and padded


def _strict(data: bytes) -> bytes:
    """Return the base64 that is meant by any of its dialects, as OpenAI takes them all.

    Those have lines, no padding, `-_` for `+/`, or are escaped as parts of a URL.
    """
    if b"%" in data:
        data = unquote_to_bytes(data)
    data = data.translate(_URL_SAFE, _SPACES).rstrip(b"=")
    return data + b"=" * (-len(data) % 4)


def _no_files(place: str) -> Problem:
    message = f"Invalid '{place}': this server keeps no files; send the data, or a URL."
    return invalid_request(message, place, "unsupported_value")


def _required(value: str | None, path: str) -> str:
    if value is None:
        raise missing(path)
    return value
