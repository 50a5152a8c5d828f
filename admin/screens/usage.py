"""The screen *usage*: what was asked and what it cost, by day, key, group and model."""

from __future__ import annotations

import datetime
import io
from functools import partial
from typing import Any

from aiohttp import web
from markupsafe import Markup

from admin.books import Books
from admin.pages import Place, language_of
from admin.plots import COLOURS, bar_cell, short, stacked_bars
from admin.screens.now import seconds
from admin.screens.screen import Screen, Services
from admin.texts import text
from admin.usage_view import BY, DAYS, MEASURES, Asked, Line, asked, by_day, measure, merged, table
from contract.usage import DAY, GROUP, KEY, MODEL, Row, Sums, Usage
from contract.usage_rows import write_csv

PLACE = Place("usage", "/usage")

_CSV_BY = (DAY, KEY, GROUP, MODEL)

_ZONES = (
    "UTC",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Asia/Singapore",
    "Asia/Kolkata",
    "Europe/London",
    "Europe/Berlin",
    "America/New_York",
    "America/Chicago",
    "America/Los_Angeles",
    "Australia/Sydney",
)
"""Those that are offered; any other may be typed."""


def routes(services: Services) -> list[web.RouteDef]:
    books = Books(services.run)

    async def page(request: web.Request) -> web.Response:
        wanted = asked(request.query, datetime.datetime.now(datetime.UTC))
        values = await books.read(wanted.zone, partial(_values, language_of(request), wanted))
        status = 400 if wanted.mistake else 200
        return services.pages.render(request, "usage.html", status=status, **values)

    async def csv(request: web.Request) -> web.Response:
        wanted = asked(request.query, datetime.datetime.now(datetime.UTC))
        return web.Response(
            text=await books.read(wanted.zone, partial(_csv, wanted)),
            content_type="text/csv",
            charset="utf-8",
            headers={"Content-Disposition": f'attachment; filename="{_file(wanted)}"'},
        )

    return [web.get(PLACE.path, page), web.get(f"{PLACE.path}.csv", csv)]


SCREEN = Screen(PLACE, routes)


def _csv(wanted: Asked, usage: Usage) -> str:
    written = io.StringIO()
    write_csv(_CSV_BY, wanted.rows(usage, _CSV_BY, percentiles=True), written)
    return written.getvalue()


def _file(wanted: Asked) -> str:
    return f"usage-{wanted.since}-{wanted.until}.csv"


def _values(language: str, wanted: Asked, usage: Usage) -> dict[str, Any]:
    """Return what the template shows."""
    t = partial(text, language)
    by_days = wanted.rows(usage, (DAY,))
    total = merged(row.sums for row in by_days)
    measured = t(f"usage.measure.{wanted.show}")
    title = t("usage.plot", measure=measured)
    words = {
        "title": title,
        "rest": t("usage.rest"),
        "description": t(
            "usage.plot.desc",
            measure=measured,
            since=wanted.since,
            until=wanted.until,
            by=t(f"usage.by.{wanted.by}"),
            total=f"{measure(total, wanted.show):,}",
        ),
    }
    plot = by_day(wanted.rows(usage, (DAY, wanted.by)), wanted, words, t("usage.unnamed"))
    return {
        "asked": wanted,
        "zones": _ZONES,
        "presets": DAYS,
        "preset_words": [t("usage.days", n=n) for n in DAYS],
        "measures": MEASURES,
        "measure_words": [t(f"usage.measure.{each}") for each in MEASURES],
        "dimensions": BY,
        "dimension_words": [t(f"usage.by.{each}") for each in BY],
        "filters": _filters(wanted, usage),
        "is_new": not usage.rows((DAY,), percentiles=False),
        "total": total,
        "short": short,
        "seconds": partial(seconds, language),
        "plot_title": title,
        "plot": Markup(stacked_bars(plot)),  # noqa: S704  # it escapes its words
        "days": [(row.values[DAY], row.sums) for row in reversed(by_days)],
        "tables": [(by, _lines(wanted, wanted.rows(usage, (by,)), by, total)) for by in BY],
    }


def _filters(wanted: Asked, usage: Usage) -> list[tuple[str, str]]:
    """Return what the page is limited to, by the names of people and things."""
    found = []
    for name in (KEY, GROUP, MODEL):
        if value := getattr(wanted, name):
            rows = _named(usage, value) if name == KEY else []
            found.append((name, rows[0].values[KEY] if rows else value))
    return found


def _named(usage: Usage, key: str) -> list[Row]:
    return usage.rows((KEY,), keys=frozenset([key]), percentiles=False)


def _lines(wanted: Asked, rows: list[Row], by: str, total: Sums) -> list[tuple[Line, Markup, str]]:
    """Return the lines of a table, each with its bar and its share."""
    of = partial(measure, show=wanted.show)
    rows = sorted((row for row in rows if row.sums.requests or row.sums.points), key=_by_size(of))
    lines, all_ = table(rows, by), of(total)
    highest = max((of(line.sums) for line in lines), default=0)
    return [
        (
            line,
            Markup(bar_cell(of(line.sums), highest, _colour(wanted, by, n))),  # noqa: S704  # numbers
            f"{of(line.sums) / all_:.1%}" if all_ > 0 else "–",
        )
        for n, line in enumerate(lines, 1)
    ]


def _colour(wanted: Asked, by: str, place: int) -> int:
    """Return the colour of a table's bar: that of the plot, if that has the same things."""
    return min(place, COLOURS) if by == wanted.by else 1


def _by_size(of: Any) -> Any:
    return lambda row: -of(row.sums)
