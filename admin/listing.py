"""One page of a long list, and what of it is searched for. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

import msgspec

T = TypeVar("T")

MOST = 100
"""Rows of a page: more would take a browser, and this process, a noticeable time."""


class Part(msgspec.Struct, Generic[T], frozen=True):
    """The rows of one page."""

    rows: Sequence[T]
    found: int
    """How many there are on all pages."""
    all: int
    """How many there are with those that are not searched for."""
    find: str = ""
    """What is searched for."""
    page: int = 1

    @property
    def first(self) -> int:
        return (self.page - 1) * MOST + 1

    @property
    def last(self) -> int:
        return self.first + len(self.rows) - 1

    @property
    def is_whole(self) -> bool:
        return len(self.rows) == self.all

    def query(self, page: int) -> str:
        """Return the query of another page, or nothing where there is no such page."""
        if not 1 <= page <= -(-self.found // MOST):
            return ""
        return urlencode({**({"find": self.find} if self.find else {}), "page": page})


def part_of(
    items: Sequence[T], query: Mapping[str, str], words: Callable[[T], Iterable[Any]]
) -> Part[T]:
    """Return the page that is asked for, or the last one, of the items that have `find` in them.

    `words` are the texts of an item that are searched, in any case.
    """
    find = query.get("find", "").strip()[:MOST]
    wanted = find.casefold()
    found = [each for each in items if any(wanted in str(w).casefold() for w in words(each))]
    asked = query.get("page", "")
    page = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 9 else 1
    page = min(max(page, 1), max(1, -(-len(found) // MOST)))
    rows = found[(page - 1) * MOST : page * MOST]
    return Part(rows, len(found), len(items), find, page)
