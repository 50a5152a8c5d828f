"""Images, recordings and files in messages, by their URL, for every dialect.

No URL is opened here. One that is `data:` is known to be base64 within bounds; whether it holds an
image is for the model to say.
"""

from __future__ import annotations

import mimetypes
import re
import string
from typing import Literal
from urllib.parse import unquote_to_bytes

from contract.messages import MediaPart
from gateway.problems import Problem, invalid_request, invalid_value, quoted

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


class MediaCount:
    """Counts the media of one request, all of which share a bound."""

    def __init__(self) -> None:
        self._media = 0

    def add(self, path: str) -> None:
        """Count one more. Raises Problem, which names the path, for one too many."""
        self._media += 1
        if self._media > MAX_MEDIA:
            message = f"The messages hold more than {MAX_MEDIA} images, recordings and files."
            raise invalid_request(message, path, "too_many_files")


def holds_thoughts(part_type: str) -> bool:
    """Return whether parts of this type hold a model's thoughts, which are not sent back to it."""
    return _THOUGHTS.fullmatch(part_type) is not None


def image(url: str, place: str, detail: str | None = None) -> MediaPart:
    """Return the image at a URL, which stands at `place` in the request. Raises Problem."""
    url, media_type = _checked(url, place)
    kind = _kind(media_type, "image")
    return MediaPart(kind, url, media_type, detail=detail if detail in _DETAILS else "")


def audio(data: str, audio_format: str, path: str) -> MediaPart:
    """Return a recording. `path` is that of an object with `data` and `format`. Raises Problem."""
    if not _AUDIO_FORMAT.fullmatch(audio_format):
        reason = f"{quoted(audio_format)} is no format such as wav or mp3"
        raise invalid_value(f"{path}.format", reason)
    audio_format = audio_format.lower()
    media_type = f"audio/{'mpeg' if audio_format == 'mp3' else audio_format}"
    url, told = _checked(_data_url(data, media_type), f"{path}.data")
    return MediaPart("audio", url, told or media_type)


def file(name: str, place: str, *, data: str | None = None, url: str | None = None) -> MediaPart:
    """Return a file by its data, else by its URL; either stands at `place`. Raises Problem."""
    name = "".join(filter(str.isprintable, name))[:_MAX_NAME]
    media_type = mimetypes.guess_type(name)[0] or _UNKNOWN_TYPE
    url, told = _checked(_data_url(data, media_type) if data else url or "", place)
    if told in ("", _UNKNOWN_TYPE) and media_type != _UNKNOWN_TYPE:
        told = media_type
    return MediaPart(_kind(told, "file"), url, told, name)


def no_stored_files(place: str) -> Problem:
    """The request names a file by an id, and this server keeps none."""
    message = f"Invalid '{place}': this server keeps no files; send the data, or a URL."
    return invalid_request(message, place, "unsupported_value")


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
    """Return the URL and the media type that it tells. Raises Problem."""
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
