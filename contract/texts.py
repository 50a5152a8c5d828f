"""Text as people and their tools store it: encodings, quotes, lists."""

from __future__ import annotations

import codecs
import re
import tomllib
from pathlib import Path

import msgspec

_QUOTES = "\"'"
_COMMENT = re.compile(r"(?:^|\s)#.*")
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


PLAIN = "expected printable text that no space begins or ends"
"""What an error says of a text that is not plain."""


def is_plain(text: str) -> bool:
    """Return whether a text is printable, and no space begins or ends it."""
    return text == text.strip() and text.isprintable()


def read_text(path: Path) -> str:
    """Read a file in UTF-8, or in UTF-16 if it begins with a byte order mark, as PowerShell's do.

    Raises ValueError, with what is wrong: that the file cannot be read, or in what encoding it is.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise ValueError("cannot be read: no path holds a null character") from None
    encoding = "utf-16" if content.startswith(_UTF16) else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8: save the file as UTF-8") from None
    if "\0" in text:
        raise ValueError("it holds null characters: save the file as UTF-8")
    # As `open` does: TOML takes no carriage return alone.
    return text.replace("\r\n", "\n")


def unquoted(text: str) -> str:
    """Return what a variable is meant to hold: `docker --env-file` keeps quotes and comments.

    Raises ValueError for a quote without its counterpart.
    """
    text = _opened(_COMMENT.sub("", text.lstrip("\ufeff")))
    if text and (text[0] in _QUOTES or text[-1] in _QUOTES):
        raise ValueError("a quote at its beginning or end has no counterpart")
    return text


def listed(text: str) -> list[object]:
    """Return the entries of a list: with commas, on lines, or as JSON.

    JSON whose quotes a shell has taken away, as in `[a,b]`, is read too. Entries may be tables;
    one may stand alone, without brackets.
    Raises ValueError for a list or a quote that does not end.
    """
    text = _opened(_without_comments(text))
    if text[1:].lstrip().startswith("[") and text[0] == text[-1] and text[0] in _QUOTES:
        text = text[1:-1].strip()
    if text.startswith("{"):
        text = f"[{text}]"
    return _from_brackets(text) if text.startswith("[") else _split(text)


def listed_hosts(text: str) -> list[object]:
    """Return the entries of a list in which `[` may also begin an address of IPv6.

    Raises ValueError as `listed` does.
    """
    return (
        listed(text) if '"]' in text or "']" in text else _split(_opened(_without_comments(text)))
    )


def _without_comments(text: str) -> str:
    return "\n".join(_COMMENT.sub("", line) for line in text.lstrip("\ufeff").splitlines())


def _split(text: str) -> list[object]:
    pieces = (unquoted(piece) for piece in re.split(r"[,\n]", text))
    return [piece for piece in pieces if piece]


def lines(text: str) -> list[str]:
    """Return what stands on the lines of a text, or in its JSON list, but for comments.

    Raises ValueError for a list or a quote that does not end, and for entries that are no text.
    """
    if not text.lstrip("\ufeff \t\r\n").startswith("["):
        return [entry for line in text.splitlines() if (entry := unquoted(line))]
    entries = listed(text)
    if not all(isinstance(entry, str) for entry in entries):
        raise ValueError('expected a list of texts, ["…", "…"]')
    return [str(entry) for entry in entries]


def _opened(text: str) -> str:
    """Take off the quotes around the whole."""
    text = text.strip()
    while len(text) > 1 and text[0] == text[-1] in _QUOTES and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def _from_brackets(text: str) -> list[object]:
    try:
        entries = msgspec.json.decode(text.replace('\\"', '"'), type=list[object])
    except (msgspec.DecodeError, RecursionError):
        entries = _without_json_quotes(text)
    # Of digits only, and its quotes taken away, a key looks like a number.
    texts = (str(each) if type(each) is int else each for each in entries)
    return [each for each in texts if each not in ("", None)]


def _without_json_quotes(text: str) -> list[object]:
    try:
        # TOML's lists may have single quotes, and a comma at the end.
        value = tomllib.loads(f"list = {text}")["list"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = None
    if isinstance(value, list):
        return list(value)
    if not re.fullmatch(r"\[[^\[\]{}\"']*\]", text):
        raise ValueError('it begins like a JSON list, and is none: expected ["…", "…"]')
    return [piece.strip() for piece in text[1:-1].split(",")]
