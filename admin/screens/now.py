"""The screen *now*: who waits, what runs, and how the last hour went."""

from __future__ import annotations

import datetime
from functools import partial
from typing import Any

from aiohttp import web
from markupsafe import Markup

from admin.pages import Place, duration, language_of
from admin.plots import Plot, Series, lines, stacked_bars
from admin.queue_view import client_rows, oldest_first
from admin.recent import Minute, Recent
from admin.screens.screen import Screen, Services
from admin.texts import text
from contract.calls.overview import Overview

PLACE = Place("now", "/now")

_SHORT = 10
"""Seconds below which tenths are shown."""
_LATEST = 5
"""Minutes of which the tiles tell the wait."""


def routes(services: Services) -> list[web.RouteDef]:
    watch = services.watch

    async def show(request: web.Request, template: str) -> web.Response:
        overview = await watch.look()
        language = language_of(request)
        values = _values(language, overview, watch.rate, watch.recent)
        return services.pages.render(request, template, **values)

    async def page(request: web.Request) -> web.Response:
        return await show(request, "now.html")

    async def parts(request: web.Request) -> web.Response:
        answer = await show(request, "now_parts.html")
        # It is asked for every few seconds. No other page is compressed: each has a secret in it,
        # what its forms send, whose length compression could tell beside words of a stranger's.
        answer.enable_compression()
        return answer

    return [web.get(PLACE.path, page), web.get(f"{PLACE.path}/parts", parts)]


SCREEN = Screen(PLACE, routes)


def _values(language: str, overview: Overview, rate: float, recent: Recent) -> dict[str, Any]:
    """Return what the template shows."""
    clients, minutes = client_rows(overview, rate), recent.minutes(overview.at)
    median, long = recent.waits(overview.at, _LATEST)
    return {
        "overview": overview,
        "time": _clock(overview.at, "%H:%M:%S"),
        "seconds": partial(seconds, language),
        "clients": clients,
        "names": {each.client: each.name for each in clients},
        "answers": oldest_first(overview.answers),
        "tokens": overview.tokens,
        "ended": _ended(minutes[-2]),
        "median": median,
        "long": long,
        "minutes": [(_clock(each.at, "%H:%M"), each) for each in reversed(minutes)],
        "has_ended": any(map(_ended, minutes)),
        "ended_plot": Markup(stacked_bars(_plot_of_ends(language, minutes))),  # noqa: S704
        "waits_plot": Markup(lines(_plot_of_waits(language, minutes))),  # noqa: S704
    }


def _plot_of_ends(language: str, minutes: list[Minute]) -> Plot:
    kinds = (("finished", 1), ("failed", 6), ("cancelled", 8))
    counts = {kind: [getattr(each, kind) for each in minutes] for kind, _ in kinds}
    totals = {kind: sum(values) for kind, values in counts.items()}
    return Plot(
        "ended-plot",
        text(language, "now.ended"),
        text(language, "now.ended.desc", **totals),
        _columns(minutes),
        [Series(text(language, f"now.{kind}"), counts[kind], colour) for kind, colour in kinds],
        whole=True,
        labels=_labels(minutes),
        is_half=True,
    )


def _plot_of_waits(language: str, minutes: list[Minute]) -> Plot:
    return Plot(
        "waits-plot",
        text(language, "now.waits"),
        text(language, "now.waits.desc"),
        _columns(minutes),
        [
            Series(text(language, "now.long"), [each.long_wait for each in minutes], 2),
            Series(text(language, "now.median"), [each.median_wait for each in minutes], 1),
        ],
        unit=text(language, "unit.seconds", n=""),
        labels=_labels(minutes),
        is_half=True,
    )


def _columns(minutes: list[Minute]) -> list[str]:
    return [_clock(each.at, "%H:%M") for each in minutes]


def _labels(minutes: list[Minute]) -> list[str]:
    return ["" if column[-1] != "0" else column for column in _columns(minutes)]


def _ended(minute: Minute) -> int:
    return minute.finished + minute.failed + minute.cancelled


def _clock(at: float, form: str) -> str:
    return datetime.datetime.fromtimestamp(at, datetime.UTC).strftime(form)


def seconds(language: str, value: float) -> str:
    """Return a short duration with tenths, and a long one in its two largest units."""
    if value >= _SHORT:
        return duration(language, value)
    return text(language, "unit.seconds", n=f"{value:.1f}".removesuffix(".0"))
