"""What the screen *usage* is asked for, and what it shows. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec

from admin.plots import COLOURS, Plot, Series
from contract.time_zones import time_zone
from contract.usage import DAY, GROUP, KEY, MODEL, Row, Sums, Usage

DAYS = (7, 30, 90)
"""The periods that one click asks for, up to today."""

MOST_DAYS = 400

MOST_ROWS = 20
"""Rows of a table; those beyond become one."""

BY = (MODEL, KEY, GROUP)
MEASURES = ("points", "requests", "tokens")

_DEFAULTS = {"by": MODEL, "show": "points", "key": "", "group": "", "model": "", "zone": "UTC"}
_LONGEST = 200
"""Characters of a filter."""

Mistake = Literal["", "date", "order", "long", "zone"]


class Asked(msgspec.Struct, frozen=True):
    """What to show. Days are those of `zone`, the first and the last one included."""

    since: datetime.date
    until: datetime.date
    today: datetime.date
    by: str = MODEL
    """What the bars of the plot are made of."""
    show: str = "points"
    key: str = ""
    """A key's id; empty: all keys. Likewise the others."""
    group: str = ""
    model: str = ""
    zone: str = "UTC"
    mistake: Mistake = ""
    """What was wrong with what was asked; then the rest is the default."""

    @property
    def days(self) -> list[str]:
        """All days, in order."""
        count = (self.until - self.since).days + 1
        return [(self.since + datetime.timedelta(days=n)).isoformat() for n in range(count)]

    @property
    def preset(self) -> int:
        """The days of the period if one click asks for it, else 0."""
        count = (self.until - self.since).days + 1
        return count if self.until == self.today and count in DAYS else 0

    @property
    def is_filtered(self) -> bool:
        return bool(self.key or self.group or self.model)

    def query(self, **changes: str | int) -> str:
        """Return the query of the same page with some changes; `days` is a period up to today."""
        values = {name: getattr(self, name) for name in _DEFAULTS}
        dates = {"from": self.since.isoformat(), "to": self.until.isoformat()}
        days = changes.pop("days", self.preset)
        period = {"days": days} if days else dates
        values |= changes
        kept = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
        return urlencode({**period, **kept})

    def rows(self, usage: Usage, by: Sequence[str], *, percentiles: bool = False) -> list[Row]:
        """Return the rows that are asked for."""
        return usage.rows(
            by,
            since=self.since.isoformat(),
            until=self.until.isoformat(),
            keys=frozenset(filter(None, [self.key])),
            groups=frozenset(filter(None, [self.group])),
            models=frozenset(filter(None, [self.model])),
            percentiles=percentiles,
        )


def asked(query: Mapping[str, str], now: datetime.datetime) -> Asked:
    """Read a query. Of one with a mistake, all that has none still counts."""
    zone, misnamed = _zone(query.get("zone", ""))
    today = now.astimezone(zone).date()
    since, until, mistake = _period(query, today)
    return Asked(
        since,
        until,
        today,
        by=_among(query.get("by", ""), BY),
        show=_among(query.get("show", ""), MEASURES),
        key=query.get(KEY, "")[:_LONGEST],
        group=query.get(GROUP, "")[:_LONGEST],
        model=query.get(MODEL, "")[:_LONGEST],
        zone=zone.key,
        mistake="zone" if misnamed else mistake,
    )


def _zone(name: str) -> tuple[ZoneInfo, bool]:
    """Return the zone of this name, or UTC, and whether the name is wrong."""
    zone = time_zone(name.strip() or "UTC")
    return zone or ZoneInfo("UTC"), zone is None


def _period(
    query: Mapping[str, str], today: datetime.date
) -> tuple[datetime.date, datetime.date, Mistake]:
    count = next((each for each in DAYS if query.get("days") == str(each)), DAYS[1])
    usual = today - datetime.timedelta(days=count - 1), today
    if not (query.get("from") or query.get("to")):
        return *usual, ""
    try:
        until = datetime.date.fromisoformat(query.get("to") or today.isoformat())
        since = datetime.date.fromisoformat(query.get("from") or until.isoformat())
    except ValueError:
        return *usual, "date"
    if since > until:
        return *usual, "order"
    return (*usual, "long") if (until - since).days >= MOST_DAYS else (since, until, "")


def _among(value: str, known: Sequence[str]) -> str:
    return value if value in known else known[0]


def measure(sums: Sums, show: str) -> int:
    """Return what is asked for of some sums."""
    if show == "tokens":
        return sums.prompt_tokens + sums.completion_tokens
    return sums.points if show == "points" else sums.requests


class Line(msgspec.Struct, frozen=True):
    """A row of a table."""

    name: str
    """Empty: all those that have no line of their own."""
    value: str
    """What a filter for it is; empty: there is none."""
    sums: Sums
    count: int = 1
    """How many it stands for."""


def table(rows: Sequence[Row], by: str) -> list[Line]:
    """Return the lines of a table: the dearest rows, and the rest in one."""
    lines = [
        Line(row.values[by], row.client if by == KEY else row.values[by], row.sums)
        for row in rows[:MOST_ROWS]
    ]
    if rest := rows[MOST_ROWS:]:
        lines.append(Line("", "", merged(row.sums for row in rest), len(rest)))
    return lines


def merged(several: Iterable[Sums]) -> Sums:
    """Return the sum of sums, without percentiles."""
    total = Sums()
    for each in several:
        total.merge_without_percentiles(each)
    return total


def by_day(rows: Sequence[Row], asked: Asked, texts: Mapping[str, str], unnamed: str) -> Plot:
    """Return bars for all days, of `rows` by day and `asked.by`.

    The largest have colours of their own. `texts` has `title`, `description` and `rest`.
    """
    totals: dict[str, int] = {}
    values: dict[tuple[str, str], int] = {}
    names: dict[str, str] = {}
    for row in rows:
        id_ = row.client if asked.by == KEY else row.values[asked.by]
        value = measure(row.sums, asked.show)
        names[id_] = row.values[asked.by] or unnamed
        totals[id_] = totals.get(id_, 0) + value
        day = row.values[DAY], id_
        values[day] = values.get(day, 0) + value
    days = asked.days
    largest = sorted(totals, key=lambda id_: (-totals[id_], names[id_]))
    own, rest = largest[: COLOURS - 1], largest[COLOURS - 1 :]
    series = [
        Series(names[id_], [values.get((day, id_), 0) for day in days], colour)
        for colour, id_ in enumerate(own, 1)
    ]
    if rest:
        sums = [sum(values.get((day, id_), 0) for id_ in rest) for day in days]
        series.append(Series(texts["rest"], sums, COLOURS))
    return Plot(
        "by-day",
        texts["title"],
        texts["description"],
        days,
        series,
        whole=True,
        labels=[day[5:] for day in days],
    )
