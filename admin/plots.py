"""Plots as SVG, drawn on the server: bars by column, lines over time, and bars within a table.

Pure. Plots stretch with the page while their text does not: x is in percent and y in pixels. They
have no style of their own, as the page's policy forbids it: plots.css colours the classes.
Whoever cannot see them has their title and description, and a table that the caller puts beside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import msgspec

COLOURS = 8
"""Colours that can be told apart, also by the colour-blind; the last one is for all the rest."""

_TOP, _PLOT, _BOTTOM = 10, 160, 22
"""Pixels above the plot, of the plot itself, and below it for the labels."""
_HEIGHT = _TOP + _PLOT + _BOTTOM
_LABELS, _FEW_LABELS = 12, 6
"""The most labels below a plot that is as wide as a wide screen, and below all others."""
_GAP = 0.25
"""The part of a column's place that is left free."""
_STEPS = 4
"""Lines of the grid, about."""
_LEAST, _MOST = 1e-9, 1e18
"""What can be told from 0, and the largest value that is drawn."""
_LOWEST = 0.2
"""The top of the scale for lines near 0: the steps of a lower one cannot be told in two digits."""
_SUFFIXES = ("", "k", "M", "G", "T", "P", "E")


class Series(msgspec.Struct, frozen=True):
    """What has one colour: a value for each column; None where there is nothing to say."""

    name: str
    values: Sequence[float | None]
    colour: int = 1
    """1 to `COLOURS`."""


class Plot(msgspec.Struct, frozen=True):
    """What is drawn, and what is said of it to those who do not see it."""

    id: str
    """Unique within the page, without spaces."""
    title: str
    description: str
    columns: Sequence[str]
    """What is said of each column: a day, a minute."""
    series: Sequence[Series]
    unit: str = ""
    whole: bool = False
    """Whether the values are counts."""
    labels: Sequence[str] = ()
    """What stands below the columns, as far as there is room; none: what is said of them. Columns
    whose label is empty have none."""
    is_half: bool = False
    """Whether it has half of a wide screen."""


def stacked_bars(plot: Plot) -> str:
    """Return a bar for each column, made of the values of all series. Negative ones count as 0."""
    stacks = [
        [_drawn(series.values[i]) for series in plot.series] for i in range(len(plot.columns))
    ]
    scale = ticks(max(map(sum, stacks), default=0), whole=plot.whole)
    bars = "".join(
        _bar(plot, scale[-1], column, stack) for column, stack in enumerate(stacks) if any(stack)
    )
    return _figure(plot, scale, bars)


def lines(plot: Plot) -> str:
    """Return a line for each series, with gaps where a value is None."""
    drawn = [[None if v is None else _drawn(v) for v in series.values] for series in plot.series]
    highest = max((v for values in drawn for v in values if v is not None), default=0)
    scale = ticks(max(highest, _LOWEST), whole=plot.whole)
    paths = "".join(
        f'<path class="plot-line series-{series.colour}" d="{_path(values, scale[-1])}"/>'
        for series, values in zip(plot.series, drawn, strict=True)
    )
    stretched = (
        f'<svg x="0" y="{_TOP}" width="100%" height="{_PLOT}" viewBox="0 0 1000 {_PLOT}"'
        f' preserveAspectRatio="none" overflow="visible">{paths}</svg>'
    )
    hints = "".join(_hint(plot, column) for column in range(len(plot.columns)))
    return _figure(plot, scale, stretched + hints)


def bar_cell(value: float, highest: float, colour: int = 1) -> str:
    """Return a horizontal bar for a cell of a table, whose text has the number."""
    part = min(_drawn(value) / highest, 1.0) if highest > 0 else 0.0
    return (
        '<svg class="plot-cell" width="100%" height="10" aria-hidden="true">'
        f'<rect class="series-{colour}" width="{_number(100 * part)}%" height="10" rx="2"/></svg>'
    )


def ticks(highest: float, *, whole: bool = False) -> list[float]:
    """Return round numbers from 0 to one that is at least `highest`, evenly apart.

    `whole`: what they tell are counts, of which there are no halves.
    """
    if not _LEAST <= highest < math.inf:
        return [0.0, 1.0]
    rough = max(highest / _STEPS, 1.0) if whole else highest / _STEPS
    power = 10.0 ** math.floor(math.log10(rough))
    parts = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next(each * power for each in parts if each * power >= rough * (1 - 1e-9))
    return [number * step for number in range(math.ceil(highest / step - 1e-9) + 1)]


def short(number: float) -> str:
    """Return a number in few characters: 0.25, 12, 3.4k, 12M."""
    size, power = abs(number), 0
    while size >= 999.5 and power < len(_SUFFIXES) - 1:
        size, power = size / 1000, power + 1
    digits = 0 if size >= 100 else 1 if size >= 10 or power else 2
    text = f"{size:.{digits}f}"
    sign = "−" if number < 0 else ""
    return sign + (text.rstrip("0").rstrip(".") if "." in text else text) + _SUFFIXES[power]


def _figure(plot: Plot, scale: Sequence[float], content: str) -> str:
    key, legend = escape(plot.id), ""
    if len(plot.series) > 1:
        legend = f'<ul class="plot-legend">{"".join(map(_legend, plot.series))}</ul>'
    return (
        f'<div class="plot"><div class="plot-body">{_scale(scale, plot.unit)}'
        f'<svg class="plot-area" width="100%" height="{_HEIGHT}" role="img"'
        f' aria-labelledby="{key}-title {key}-desc">'
        f'<title id="{key}-title">{escape(plot.title)}</title>'
        f'<desc id="{key}-desc">{escape(plot.description)}</desc>'
        f"{_grid(scale)}{content}{_labels(plot)}</svg></div>{legend}</div>"
    )


def _legend(series: Series) -> str:
    swatch = (
        f'<svg class="plot-swatch" width="10" height="10" aria-hidden="true">'
        f'<rect class="series-{series.colour}" width="10" height="10" rx="2"/></svg>'
    )
    return f"<li>{swatch}{escape(series.name)}</li>"


def _scale(scale: Sequence[float], unit: str) -> str:
    numbers = "".join(
        f'<text x="46" y="{_number(_y(value, scale[-1]) + 4)}">{escape(short(value) + unit)}</text>'
        for value in scale
    )
    return (
        f'<svg class="plot-scale" width="52" height="{_HEIGHT}" aria-hidden="true">{numbers}</svg>'
    )


def _grid(scale: Sequence[float]) -> str:
    return "".join(
        f'<line class="plot-grid{"" if value else " plot-zero"}" x1="0" x2="100%"'
        f' y1="{_number(y)}" y2="{_number(y)}"/>'
        for value in scale
        for y in (_y(value, scale[-1]),)
    )


def _labels(plot: Plot) -> str:
    labels = plot.labels or plot.columns
    places = [i for i, label in enumerate(labels) if label]
    few = max(1, math.ceil(len(places) / _FEW_LABELS))
    many = few if plot.is_half else max(1, math.ceil(len(places) / _LABELS))
    # On a narrow screen every few of those that a wide one shows.
    few = many * max(1, math.ceil(few / many))
    return "".join(
        f'<text class="plot-label{"" if n % few == 0 else " plot-minor"}"'
        f' x="{_number(_middle(places[n], len(labels)))}%" y="{_HEIGHT - 5}">'
        f"{escape(labels[places[n]])}</text>"
        for n in range(0, len(places), many)
    )


def _bar(plot: Plot, top: float, column: int, stack: Sequence[float]) -> str:
    width = 100 / len(plot.columns)
    x, parts, below = (column + _GAP / 2) * width, [], 0.0
    for series, value in zip(plot.series, stack, strict=True):
        if value > 0:
            upper, lower = _y(below + value, top), _y(below, top)
            height = max(lower - upper, 1.0)
            parts.append(
                f'<rect class="series-{series.colour}" x="{_number(x)}%" y="{_number(upper)}"'
                f' width="{_number(width * (1 - _GAP))}%" height="{_number(height)}">'
                f"<title>{escape(_said(plot, column, series.name, value))}</title></rect>"
            )
        below += value
    return f"<g>{''.join(parts)}</g>"


def _hint(plot: Plot, column: int) -> str:
    """Return what shows the values of a column when it is pointed at."""
    width = 100 / len(plot.columns)
    said = [
        _said(plot, column, series.name, value)
        for series in plot.series
        if (value := series.values[column]) is not None
    ]
    if not said:
        return ""
    return (
        f'<rect class="plot-hint" x="{_number(column * width)}%" y="{_TOP}"'
        f' width="{_number(width)}%" height="{_PLOT}"><title>{escape(chr(10).join(said))}</title>'
        "</rect>"
    )


def _said(plot: Plot, column: int, name: str, value: float) -> str:
    return f"{plot.columns[column]} · {name}: {_exact(_drawn(value))}{plot.unit}"


def _exact(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def _path(values: Sequence[float | None], top: float) -> str:
    """Return the line in a plot that is 1000 wide. A single point is a dot."""
    steps: list[str] = []
    is_open = False
    for i, value in enumerate(values):
        if value is not None:
            x, y = 10 * _middle(i, len(values)), _y(value, top) - _TOP
            steps.append(f"{'L' if is_open else 'M'}{_number(x)} {_number(y)}")
            if not is_open and _next(values, i) is None:
                steps.append("h.01")
        is_open = value is not None
    return "".join(steps)


def _next(values: Sequence[float | None], i: int) -> float | None:
    return values[i + 1] if i + 1 < len(values) else None


def _middle(i: int, count: int) -> float:
    """Return the middle of a column's place, in percent."""
    return 100 * (i + 0.5) / count


def _y(value: float, top: float) -> float:
    return _TOP + _PLOT * (1 - value / top)


def _drawn(value: float | None) -> float:
    """Return a value as it can be drawn: finite, not below 0, and not beyond all bounds."""
    return min(max(value, 0.0), _MOST) if value is not None and math.isfinite(value) else 0.0


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
