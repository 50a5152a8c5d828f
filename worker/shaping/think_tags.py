"""Thoughts between `<think>` and `</think>`, of which models write only the beginning for sure.

The tag may have attributes, capitals or three letters more (`<thinking>`). Inside, a model may
write of tags, so they are counted: the thoughts end where the first one is closed. But who only
mentions `<think>` does not close it. So what follows a closing tag that is not the first one's
waits: for another closing tag, for the end, or until it is longer than thoughts about tags are;
then the last closing tag was the end.
"""

from __future__ import annotations

import re

OPENING = re.compile(r"<think(?:ing)?(?:\s[^<>]{0,100})?>", re.IGNORECASE)
_TAG = re.compile(r"<(/?)think(?:ing)?(?:\s[^<>]{0,100})?>", re.IGNORECASE)
_LONGEST_TAG = 112

_BEGUN = re.compile(r"<(/?)([a-z]{0,8})(\s[^<>]{0,100})?", re.IGNORECASE)

_DOUBT = 2_000
"""Characters behind a closing tag within which another one makes it a part of the thoughts."""


def may_open(text: str) -> bool:
    """Return whether this is the beginning of an opening tag."""
    match = _BEGUN.fullmatch(text)
    return match is not None and not match[1] and _may_be_one(match)


class TaggedThoughts:
    """The thoughts behind an opening tag, in a text that only grows."""

    def __init__(self) -> None:
        self.rest: str | None = None
        """What follows the closing tag, once that is known."""
        self._held = ""
        self._is_begun = False
        self._open = 1
        """How many tags are open."""
        self._sought = 0
        self._end: tuple[int, int] | None = None
        """The last closing tag, which may be the end or not; what is behind it is held."""

    def feed(self, text: str) -> str:
        """Return what is added to the thoughts; white space around them is not."""
        self._held += text
        for tag in _TAG.finditer(self._held, self._sought):
            if self._is_beyond_doubt(tag.start()):
                break
            self._sought = tag.end()
            self._open += -1 if tag[1] else 1
            if tag[1]:
                self._end = tag.span()
            if self._open == 0:
                return self._ended()
        if self._is_beyond_doubt(len(self._held) - _LONGEST_TAG):
            return self._ended()
        return self._taken(self._sure())

    def finish(self) -> str:
        """Decide, because nothing follows."""
        if self._end is not None:
            return self._ended()
        self.rest = ""
        return self._taken(len(self._held)).rstrip()

    def _is_beyond_doubt(self, place: int) -> bool:
        return self._end is not None and place - self._end[1] > _DOUBT

    def _ended(self) -> str:
        assert self._end is not None  # noqa: S101
        start, end = self._end
        self.rest = self._held[end:]
        return self._taken(start).rstrip()

    def _sure(self) -> int:
        """Return how much of what is held belongs to the thoughts for certain."""
        end = self._end[0] if self._end is not None else _begun_tag(self._held)
        # The white space before the closing tag belongs to neither.
        return len(self._held[:end].rstrip())

    def _taken(self, size: int) -> str:
        taken, self._held = self._held[:size], self._held[size:]
        self._sought = max(0, self._sought - size)
        if self._end is not None:
            self._end = self._end[0] - size, self._end[1] - size
        if not self._is_begun:
            taken = taken.lstrip()
            self._is_begun = bool(taken)
        return taken


def _begun_tag(text: str) -> int:
    """Return where a tag begins that the text may not have the end of, or the text's length."""
    start = text.rfind("<", max(0, len(text) - _LONGEST_TAG))
    match = _BEGUN.fullmatch(text, start) if start >= 0 else None
    return start if match and _may_be_one(match) else len(text)


def _may_be_one(begun: re.Match[str]) -> bool:
    name = begun[2].lower()
    return name in ("think", "thinking") if begun[3] else "thinking".startswith(name)
