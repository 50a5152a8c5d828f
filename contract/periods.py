"""Periods as people name them: `2026-11-27`, `2026-11`, `7d`."""

from __future__ import annotations

import datetime
import re
from zoneinfo import ZoneInfo

from contract.stored_keys import seconds

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MONTH = re.compile(r"\d{4}-\d\d", re.ASCII)

EXPECTED = (
    "expected a day (2026-11-27), a month (2026-11), an instant with its zone"
    " (2026-11-27T18:00:00Z), or how long ago (12h, 7d)"
)


def beginning(text: str, zone: ZoneInfo, now: datetime.datetime) -> datetime.datetime:
    """Return the instant from which on someone means; of a day or a month its first.

    Raises ValueError.
    """
    return _instants(text, zone, now)[0]


def end(text: str, zone: ZoneInfo, now: datetime.datetime) -> datetime.datetime:
    """Return the instant before which someone means: a day or a month is meant with all of it.

    Raises ValueError.
    """
    return _instants(text, zone, now)[1]


def _instants(
    text: str, zone: ZoneInfo, now: datetime.datetime
) -> tuple[datetime.datetime, datetime.datetime]:
    try:
        if _DAY.fullmatch(text):
            day = datetime.date.fromisoformat(text)
            return _midnight(day, zone), _midnight(day + datetime.timedelta(days=1), zone)
        if _MONTH.fullmatch(text):
            first = datetime.date.fromisoformat(f"{text}-01")
            after = (first + datetime.timedelta(days=31)).replace(day=1)
            return _midnight(first, zone), _midnight(after, zone)
        at = _instant(text, now)
    except (ValueError, OverflowError):
        raise ValueError(EXPECTED) from None
    return at, at


def _instant(text: str, now: datetime.datetime) -> datetime.datetime:
    if "-" not in text:
        return now - datetime.timedelta(seconds=seconds(text))
    at = datetime.datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("without a zone")
    return at


def _midnight(day: datetime.date, zone: ZoneInfo) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time.min, zone)
