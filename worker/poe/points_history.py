"""Reads a page of `GET /usage/points_history`: what an account was charged for, newest first.

The fields are those that Poe documents, and `cost_breakdown_in_points`, which users have seen:
texts such as "450 points (5290 tokens)" under Input, Output, Cache write, Cache discount and Total.
One of Poe's own samples has times in seconds, so all units are taken. A row without an id, a time
or points is skipped; whatever else is missing or odd is not known.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

import msgspec

from worker.poe.faults import Fault, FaultKind
from worker.poe.lenient_json import count_of, object_of, objects_of, parse, string_of

PAGE = 100
"""The most rows that a page may have."""

_TOKENS = re.compile(r"\(\s*([\d,]{1,20}) tokens?\s*\)")
_MOST_MILLISECONDS = 10**14
"""In microseconds this is 1973, in milliseconds the year 5138."""
_MOST_SECONDS = 10**11
_LONGEST_ID = 200
_MOST = 10**15
"""Points; more would not be an account's."""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One charge. Token counts are None where the row does not say."""

    query: str
    """Poe's id of it."""
    at: int
    """Unix time in milliseconds."""
    bot: str
    points: int
    is_call: bool = True
    """Whether an API key made it; else a chat or an app on Poe's site did."""
    input: int | None = None
    output: int | None = None
    written: int = 0
    """Tokens of the prompt that went to a cache, and that may be missing in `input`."""
    read: int = 0
    """Likewise, that came from a cache."""


class Page(msgspec.Struct, frozen=True):
    """One page."""

    rows: tuple[Row, ...]
    next: str = ""
    """The id after which the next page starts; empty: there is none."""
    written: int | None = None
    """When Poe wrote the page, by its own clock, to a second: Unix time in milliseconds."""


def read_page(body: bytes, date: str = "") -> Page:
    """Read a page; `date` is its header's. Raises Fault(PROTOCOL) if the body is not a page."""
    page = object_of(parse(body))
    data = page.get("data")
    if not isinstance(data, list):
        raise Fault(FaultKind.PROTOCOL)
    items = objects_of(data)
    more = page.get("has_more") is True and bool(items)
    return Page(
        tuple(row for item in items if (row := _row(item)) is not None),
        string_of(items[-1].get("query_id"))[:_LONGEST_ID] if more else "",
        _instant(date),
    )


def _instant(date: str) -> int | None:
    try:
        return round(parsedate_to_datetime(date).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def _row(item: dict[str, object]) -> Row | None:
    query, at = string_of(item.get("query_id")), count_of(item.get("creation_time"))
    points = item.get("cost_points")
    if not query or len(query) > _LONGEST_ID or not at:
        return None
    if isinstance(points, bool) or not isinstance(points, int | float) or not abs(points) < _MOST:
        return None
    breakdown = object_of(item.get("cost_breakdown_in_points"))
    tokens = {name.casefold(): _tokens(text) for name, text in breakdown.items()}
    return Row(
        query,
        _milliseconds(at),
        string_of(item.get("bot_name")),
        round(points),
        item.get("usage_type") in ("API", None),
        tokens.get("input"),
        tokens.get("output"),
        tokens.get("cache write") or 0,
        tokens.get("cache discount") or 0,
    )


def _tokens(text: object) -> int | None:
    found = _TOKENS.search(string_of(text))
    digits = found[1].replace(",", "") if found else ""
    return count_of(int(digits)) if digits else None


def _milliseconds(at: int) -> int:
    if at >= _MOST_MILLISECONDS:
        return at // 1000
    return at if at >= _MOST_SECONDS else at * 1000
