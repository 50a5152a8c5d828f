"""Finds where the arguments of a call end, while they arrive.

Arguments are one JSON object. Only its brackets and strings are followed, which costs little and
suffices: whoever runs the call checks what lies between them.
"""

from __future__ import annotations

import re

_IN_STRING = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["{}\[\]]')


class ArgumentScanner:
    """Follows the arguments of one call."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_begun = False
        self._in_string = False
        self._escapes = False
        self.is_overrun = False
        """Something follows behind the end."""
        self.beyond = ""
        """What of the part that was taken last lies behind the end."""

    @property
    def is_open(self) -> bool:
        """Return whether an end is missing."""
        return self._depth > 0 or self._in_string

    @property
    def is_whole(self) -> bool:
        """Return whether all brackets are closed, and there were some."""
        return self._is_begun and not self.is_open

    def add(self, text: str) -> None:
        """Take the next part of the arguments."""
        at = int(self._escapes and bool(text))
        self._escapes = self._escapes and not at
        while not self.is_whole:
            mark = (_IN_STRING if self._in_string else _OUTSIDE).search(text, at)
            if mark is None:
                return
            at = self._pass(mark, len(text))
        self.beyond = text[at:]
        self.is_overrun = self.is_overrun or bool(self.beyond.strip())

    def _pass(self, mark: re.Match[str], size: int) -> int:
        """Take one mark; return where to look for the next."""
        match mark[0]:
            case "\\":
                self._escapes = mark.end() == size
                return mark.end() + 1
            case '"':
                self._in_string = not self._in_string
            case "{" | "[":
                self._depth += 1
                self._is_begun = True
            case _:
                self._depth -= 1
        return mark.end()
