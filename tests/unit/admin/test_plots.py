"""Plots as SVG."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.plots import Plot, Series, bar_cell, lines, short, stacked_bars, ticks

HUGE = 1.7e308


def plot(*values: list[float | None], columns: list[str] | None = None, **more: str) -> Plot:
    count = len(values[0]) if values else 0
    return Plot(
        id="p",
        title="Points by day",
        description="What it is",
        columns=[f"day {i + 1}" for i in range(count)] if columns is None else columns,
        series=[Series(f"s{i + 1}", each, i + 1) for i, each in enumerate(values)],
        **more,
    )


def test_a_small_plot_is_this() -> None:
    assert stacked_bars(plot([30, 0], [10, 20])) == (
        '<div class="plot"><div class="plot-body">'
        '<svg class="plot-scale" width="52" height="192" aria-hidden="true">'
        '<text x="46" y="174">0</text><text x="46" y="134">10</text><text x="46" y="94">20</text>'
        '<text x="46" y="54">30</text><text x="46" y="14">40</text></svg>'
        '<svg class="plot-area" width="100%" height="192" role="img"'
        ' aria-labelledby="p-title p-desc">'
        '<title id="p-title">Points by day</title><desc id="p-desc">What it is</desc>'
        '<line class="plot-grid plot-zero" x1="0" x2="100%" y1="170" y2="170"/>'
        '<line class="plot-grid" x1="0" x2="100%" y1="130" y2="130"/>'
        '<line class="plot-grid" x1="0" x2="100%" y1="90" y2="90"/>'
        '<line class="plot-grid" x1="0" x2="100%" y1="50" y2="50"/>'
        '<line class="plot-grid" x1="0" x2="100%" y1="10" y2="10"/>'
        '<g><rect class="series-1" x="6.25%" y="50" width="37.5%" height="120">'
        "<title>day 1 · s1: 30</title></rect>"
        '<rect class="series-2" x="6.25%" y="10" width="37.5%" height="40">'
        "<title>day 1 · s2: 10</title></rect></g>"
        '<g><rect class="series-2" x="56.25%" y="90" width="37.5%" height="80">'
        "<title>day 2 · s2: 20</title></rect></g>"
        '<text class="plot-label" x="25%" y="187">day 1</text>'
        '<text class="plot-label" x="75%" y="187">day 2</text></svg></div>'
        '<ul class="plot-legend">'
        '<li><svg class="plot-swatch" width="10" height="10" aria-hidden="true">'
        '<rect class="series-1" width="10" height="10" rx="2"/></svg>s1</li>'
        '<li><svg class="plot-swatch" width="10" height="10" aria-hidden="true">'
        '<rect class="series-2" width="10" height="10" rx="2"/></svg>s2</li></ul></div>'
    )


def test_a_line_has_gaps_and_a_lone_point_is_a_dot() -> None:
    drawn = lines(plot([10, 5, None, 0]))

    assert 'd="M125 0L375 80M875 160h.01"' in drawn
    assert drawn.count('class="plot-hint"') == 3


@pytest.mark.parametrize("draw", [stacked_bars, lines])
@pytest.mark.parametrize(
    "values",
    [
        pytest.param([], id="nothing"),
        pytest.param([0.0], id="zero"),
        pytest.param([7.0], id="one point"),
        pytest.param([None], id="one gap"),
        pytest.param([HUGE, HUGE], id="huge"),
        pytest.param([5e-324, 1.0], id="tiny"),
        pytest.param([-5.0, 5.0], id="negative"),
        pytest.param([math.nan, math.inf, -math.inf, 2.0], id="no numbers"),
    ],
)
def test_any_values_make_a_plot(draw: object, values: list[float | None]) -> None:
    assert callable(draw)
    check(draw(plot(values, values)))


@given(
    st.lists(
        st.lists(st.none() | st.floats() | st.integers(0, 10**9), min_size=3, max_size=3),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_is_plotted_stays_within(values: list[list[float | None]]) -> None:
    for drawn in (stacked_bars(plot(*values)), lines(plot(*values))):
        check(drawn)


def check(drawn: str) -> None:
    """Assert that this is XML, without numbers that are none, within the plot's box."""
    root = ElementTree.fromstring(drawn)  # our own
    assert not re.search(r"\b(nan|inf)\b", re.sub("<title>.*?</title>", "", drawn), re.I)
    for rect in root.iter("rect"):
        y, height = float(rect.get("y", 0)), float(rect.get("height", 0))
        assert -0.5 <= y <= y + height <= 192
        assert float(rect.get("width", "0").rstrip("%")) >= 0


def test_names_are_text_and_no_markup() -> None:
    hostile = "</title><script>alert(1)</script>\"'&"

    drawn = stacked_bars(
        Plot(hostile.replace(" ", ""), hostile, hostile, [hostile], [Series(hostile, [1.0])])
    ) + lines(Plot("p", "", "", [hostile], [Series(hostile, [1.0]), Series(hostile, [2.0])]))

    assert "<script" not in drawn
    assert "&lt;script&gt;" in drawn
    ElementTree.fromstring(f"<div>{drawn}</div>")


@pytest.mark.parametrize(
    ("highest", "expected"),
    [
        (0, [0, 1]),
        (1, [0, 0.25, 0.5, 0.75, 1]),
        (3, [0, 1, 2, 3]),
        (10, [0, 2.5, 5, 7.5, 10]),
        (11, [0, 5, 10, 15]),
        (40, [0, 10, 20, 30, 40]),
        (1_234_567, [0, 500_000, 1_000_000, 1_500_000]),
        (math.nan, [0, 1]),
        (-3, [0, 1]),
    ],
)
def test_an_axis_has_round_numbers(highest: float, expected: list[float]) -> None:
    assert ticks(highest) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("highest", "expected"),
    [(1, [0, 1]), (2, [0, 1, 2]), (10, [0, 5, 10]), (30, [0, 10, 20, 30]), (0.2, [0, 1])],
)
def test_an_axis_of_counts_has_no_halves(highest: float, expected: list[float]) -> None:
    assert ticks(highest, whole=True) == expected


@given(st.floats(1e-9, 1e20))
def test_an_axis_holds_what_it_is_for(highest: float) -> None:
    scale = ticks(highest)

    assert scale[0] == 0
    assert scale[-1] >= highest * (1 - 1e-9)
    assert 2 <= len(scale) <= 6


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "0"),
        (0.25, "0.25"),
        (7, "7"),
        (12.5, "12.5"),
        (999, "999"),
        (999.7, "1k"),
        (3400, "3.4k"),
        (250_000, "250k"),
        (12_000_000, "12M"),
        (2e21, "2000E"),
        (-1500, "−1.5k"),
    ],
)
def test_numbers_are_short(number: float, said: str) -> None:
    assert short(number) == said


@pytest.mark.parametrize(
    ("value", "highest", "width"),
    [(5, 10, "50%"), (0, 0, "0%"), (-1, 5, "0%"), (20, 10, "100%"), (math.nan, 1, "0%")],
)
def test_a_bar_in_a_table_has_its_part_of_the_width(
    value: float, highest: float, width: str
) -> None:
    assert f'<rect class="series-1" width="{width}"' in bar_cell(value, highest)


def test_labels_leave_room_for_each_other() -> None:
    drawn = stacked_bars(plot([1.0] * 90))

    wide = re.findall(r'<text class="(plot-label[^"]*)"', drawn)

    assert len(wide) <= 12
    assert wide.count("plot-label") <= 6
