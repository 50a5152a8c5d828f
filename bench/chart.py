"""Draws the figures of `bench.compare`: `python -m bench.chart FIGURES.json CHART.svg`.

Bars show CPU time as multiples of TensorZero's in the same row, on a linear axis; one that would
leave the picture is cut off, and its number says how long it is. Writes CHART.svg for light pages
and CHART-dark.svg for dark ones, and both with three rows as CHART-brief. Needs matplotlib, which
is in .venv-bench.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "poe2gpt"  # the same figures give the same file
mpl.rcParams["font.size"] = 9

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

CHUNK, ANSWER = "CPU us a chunk", "CPU ms an answer"
ROWS = (
    ("20 paced streams", CHUNK, "A chunk: 20 streams, each a chunk every 20 ms"),
    ("100 paced streams", CHUNK, "A chunk: 100 streams, each a chunk every 20 ms"),
    ("256 paced streams", CHUNK, "A chunk: 256 streams, each a chunk every 20 ms"),
    ("64 streams, unpaced", CHUNK, "A chunk: 64 streams as fast as they go"),
    ("short answers, 64 clients", ANSWER, "A short answer: 64 clients"),
    ("short answers, 1 client", ANSWER, "A short answer: one client"),
)
UNITS = {CHUNK: "µs", ANSWER: "ms"}
BRIEF = ("100 paced streams", "64 streams, unpaced", "short answers, 64 clients")
OURS, MEASURE = "poe2gpt", "TensorZero"
LONGEST = 6.0
"""Multiples of TensorZero's that the axis shows."""


@dataclass(frozen=True)
class Theme:
    """The colours of one page."""

    suffix: str
    ours: str
    others: str
    ink: str
    faint: str
    page: str


THEMES = (
    Theme("", ours="#2563eb", others="#9ca3af", ink="#1f2937", faint="#d1d5db", page="#ffffff"),
    Theme(
        "-dark", ours="#60a5fa", others="#6b7280", ink="#e5e7eb", faint="#374151", page="#0d1117"
    ),
)


def main(figures: Path, chart: Path) -> None:
    """Draw one group of bars per row that was measured."""
    told = json.loads(figures.read_text())
    rows = [row for row in ROWS if any(MEASURE in peer for peer in told["rows"].get(row[0], {}))]
    if not rows:
        raise SystemExit(f"{figures} has no row with {MEASURE}, by which the others are measured")
    brief = [row for row in rows if row[0] in BRIEF]
    for theme in THEMES:
        _draw(told, rows, theme, chart.with_stem(chart.stem + theme.suffix))
        if brief:
            _draw(told, brief, theme, chart.with_stem(f"{chart.stem}-brief{theme.suffix}"))


def _draw(told: dict[str, Any], rows: list[tuple[str, str, str]], theme: Theme, to: Path) -> None:
    sizes = [len(told["rows"][name]) for name, _, _ in rows]
    drawing, axes = plt.subplots(
        len(rows),
        1,
        figsize=(8, 0.24 * sum(sizes) + 0.42 * len(rows) + 0.5),
        gridspec_kw={"height_ratios": sizes},
        squeeze=False,
    )
    for axis, (name, figure, title) in zip(axes[:, 0], rows, strict=True):
        _draw_row(axis, told["rows"][name], figure, title, theme)
    machine = told["machine"]
    note = (
        f"CPU of all processes, as multiples of {MEASURE}'s; less is better. "
        f"{machine['cpu']}, {machine['python']}"
    )
    drawing.text(0.01, 0.004, note, fontsize=7.5, color=theme.ink, alpha=0.75)
    drawing.tight_layout(rect=(0, 0.02, 1, 1), h_pad=0.9)
    drawing.savefig(to, metadata={"Date": None}, transparent=True)
    plt.close(drawing)


def _draw_row(axis: Axes, peers: dict[str, Any], figure: str, title: str, theme: Theme) -> None:
    costs = {peer: values[figure] for peer, values in peers.items()}
    measure = next(middle for peer, (_, middle, _) in costs.items() if MEASURE in peer)
    order = sorted(costs, key=lambda peer: -costs[peer][1])
    for place, peer in enumerate(order):
        least, middle, most = (value / measure for value in costs[peer])
        color = theme.ours if peer == OURS else theme.others
        axis.barh(place, min(middle, LONGEST), color=color, height=0.72)
        is_cut = middle > LONGEST
        if is_cut:
            _cut(axis, place, theme.page)
        elif most > least:
            axis.plot([least, most], [place, place], color=theme.ink, linewidth=1)
        at = LONGEST if is_cut else max(middle, most)
        said = f"{_short(costs[peer][1])} {UNITS[figure]}"
        if MEASURE not in peer:
            said += f"  ({_short(middle)}×)"
        weight = "bold" if peer == OURS else "normal"
        axis.text(at + 0.06, place, said, va="center", color=theme.ink, weight=weight)
    axis.set_yticks(range(len(order)), order, color=theme.ink)
    axis.axvline(1, color=theme.faint, linewidth=1, zorder=0)
    axis.set_xlim(0, LONGEST * 1.22)
    axis.set_xticks([])
    axis.set_title(title, loc="left", fontsize=10, color=theme.ink, pad=3)
    axis.tick_params(length=0)
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.spines["left"].set_color(theme.faint)


def _cut(axis: Axes, place: int, page: str) -> None:
    """Show that a bar goes on: two slanted gaps near its end."""
    for at in (LONGEST - 0.32, LONGEST - 0.2):
        axis.plot([at, at + 0.07], [place - 0.36, place + 0.36], color=page, linewidth=2)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.2g}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
