"""What the screen *usage* is asked for, and what it shows."""

from __future__ import annotations

import datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from admin.plots import COLOURS
from admin.usage_view import MOST_DAYS, MOST_ROWS, Asked, asked, by_day, table
from contract.ledger import Correction, Request
from contract.usage import DAY, KEY, MODEL, Usage

NOW = datetime.datetime(2026, 11, 27, 23, 30, tzinfo=datetime.UTC)
TEXTS = {"title": "T", "description": "D", "rest": "rest"}


def request(day: str, points: int = 1, **more: Any) -> Request:
    at = datetime.datetime.fromisoformat(f"{day}T12:00:00Z").timestamp() * 1000
    values = {"client": "c", "name": "C", "model": "m", **more}
    return Request(job="j", asked=int(at), settled=points, **values)


def usage(*records: Request | Correction) -> Usage:
    found = Usage()
    for record in records:
        found.add(record)
    return found


def wanted(**query: str) -> Asked:
    return asked(query, NOW)


def test_without_a_word_it_is_the_last_30_days() -> None:
    page = wanted()

    assert (len(page.days), page.days[0], page.days[-1]) == (30, "2026-10-29", "2026-11-27")
    assert (page.by, page.show, page.preset, page.mistake) == ("model", "points", 30, "")


def test_days_are_those_of_the_zone() -> None:
    assert wanted(zone="Asia/Shanghai", days="7").days[-1] == "2026-11-28"


@pytest.mark.parametrize(
    ("query", "mistake"),
    [
        ({"from": "2026-13-01"}, "date"),
        ({"from": "yesterday"}, "date"),
        ({"from": "2026-11-02", "to": "2026-11-01"}, "order"),
        ({"from": "2027-01-01"}, "order"),
        ({"from": "2020-01-01", "to": "2026-11-01"}, "long"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"zone": "\0"}, "zone"),
        ({"days": "9" * 5000}, ""),
        ({"days": "0007" + "9" * 50}, ""),
        ({"from": "0001-01-01"}, "long"),
        ({"days": "٣٠"}, ""),
        ({"by": "secret", "show": "<script>"}, ""),
    ],
)
def test_a_mistake_is_told_and_the_rest_is_as_usual(query: dict[str, str], mistake: str) -> None:
    page = wanted(**query)

    assert page.mistake == mistake
    assert len(page.days) == 30
    assert (page.by, page.show) == ("model", "points")


def test_a_period_has_both_its_ends() -> None:
    page = wanted(**{"from": "2026-11-01", "to": "2026-11-03"})

    assert page.days == ["2026-11-01", "2026-11-02", "2026-11-03"]
    assert page.preset == 0
    assert len(wanted(**{"from": "2025-10-01", "to": "2026-11-01"}).days) <= MOST_DAYS


@pytest.mark.parametrize(
    "query",
    [
        {"days": "7", "by": "key", "model": "a&b=c"},
        {"from": "2026-11-01", "to": "2026-11-03", "zone": "Europe/Berlin", "group": "中"},
    ],
)
def test_a_link_to_the_same_page_says_all_that_was_asked(query: dict[str, str]) -> None:
    page = wanted(**query)

    again = wanted(**dict(parse_qsl(page.query())))

    assert again == page
    assert parse_qsl(page.query(days=90))[0] == ("days", "90")
    assert wanted(**dict(parse_qsl(page.query(show="tokens")))).show == "tokens"


def test_bars_have_a_colour_for_the_largest_and_one_for_the_rest() -> None:
    records = [request("2026-11-27", points=100 - n, model=f"m{n}") for n in range(COLOURS + 3)]
    page = wanted(days="7")

    plot = by_day(page.rows(usage(*records), (DAY, MODEL)), page, TEXTS, "(none)")

    assert [series.name for series in plot.series] == [*(f"m{n}" for n in range(7)), "rest"]
    assert plot.series[-1].values[-1] == 93 + 92 + 91 + 90
    assert [series.colour for series in plot.series] == list(range(1, COLOURS + 1))
    assert len(plot.columns) == len(plot.series[0].values) == 7


def test_keys_of_the_same_name_are_not_mixed_up() -> None:
    records = [request("2026-11-27", client=client, name="same") for client in ("a", "b")]
    page = wanted(by="key", days="7")

    plot = by_day(page.rows(usage(*records), (DAY, KEY)), page, TEXTS, "(none)")

    assert [series.name for series in plot.series] == ["same", "same"]


def test_a_table_ends_with_the_sum_of_the_rest() -> None:
    records = [request("2026-11-27", points=n + 1, model=f"m{n}") for n in range(MOST_ROWS + 5)]

    lines = table(wanted().rows(usage(*records), (MODEL,)), MODEL)

    assert len(lines) == MOST_ROWS + 1
    assert (lines[-1].name, lines[-1].count, lines[-1].sums.points) == ("", 5, 1 + 2 + 3 + 4 + 5)


def test_a_filter_leaves_what_it_names() -> None:
    records = [request("2026-11-27", model=model) for model in ("a", "b", "b")]

    rows = wanted(model="b").rows(usage(*records), (MODEL,))

    assert [(row.values[MODEL], row.sums.requests) for row in rows] == [("b", 2)]
