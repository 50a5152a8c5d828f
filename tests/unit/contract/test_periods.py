"""Periods as people name them."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest

from contract.periods import beginning, end

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime.datetime(2026, 11, 27, 18, 0, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("text", "begins", "ends"),
    [
        ("2026-11-27", "2026-11-26T23:00", "2026-11-27T23:00"),
        ("2026-11", "2026-10-31T23:00", "2026-11-30T23:00"),
        ("2026-12", "2026-11-30T23:00", "2026-12-31T23:00"),
        ("2026-03-29", "2026-03-28T23:00", "2026-03-29T22:00"),  # 23 h long
        ("12h", "2026-11-27T06:00", "2026-11-27T06:00"),
        ("7d", "2026-11-20T18:00", "2026-11-20T18:00"),
        ("2026-11-27T18:00:00+01:00", "2026-11-27T17:00", "2026-11-27T17:00"),
    ],
)
def test_days_and_months_are_meant_with_all_of_them(text: str, begins: str, ends: str) -> None:
    def utc(at: datetime.datetime) -> str:
        return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M")

    assert (utc(beginning(text, BERLIN, NOW)), utc(end(text, BERLIN, NOW))) == (begins, ends)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "7", "2026", "2026-13", "2026-02-30", "2026-11-27T18:00", "9999-12", "-1d"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a day"):
        beginning(text, BERLIN, NOW)
