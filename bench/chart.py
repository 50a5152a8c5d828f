"""Draws the figures of `bench.compare` as bars: `python -m bench.chart FIGURES.json CHART.svg`.

Needs matplotlib, which is in .venv-bench.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "poe2gpt"  # the same figures give the same file

from matplotlib import pyplot as plt  # noqa: E402

PANELS = (
    ("100 paced streams", "CPU us a chunk", "CPU a chunk, 100 streams of 50 chunks/s (µs)"),
    ("64 streams, unpaced", "CPU us a chunk", "CPU a chunk, as fast as they go (µs)"),
    ("short answers, 64 clients", "CPU ms an answer", "CPU of a short whole answer (ms)"),
)
OURS = "poe2gpt"


def main(figures: Path, chart: Path) -> None:
    """Draw one panel per row, with a bar for every peer and a line from minimum to maximum."""
    told = json.loads(figures.read_text())
    drawing, axes = plt.subplots(len(PANELS), 1, figsize=(8, 2.1 * len(PANELS)))
    for axis, (row, figure, title) in zip(axes, PANELS, strict=True):
        peers = {name: values[figure] for name, values in told["rows"][row].items()}
        names = list(peers)[::-1]
        least, middle, most = ([peers[name][position] for name in names] for position in range(3))
        error = [
            [m - low for m, low in zip(middle, least, strict=True)],
            [high - m for m, high in zip(middle, most, strict=True)],
        ]
        colors = ["#2563eb" if name == OURS else "#9ca3af" for name in names]
        bars = axis.barh(names, middle, xerr=error, color=colors, ecolor="#374151")
        axis.bar_label(bars, [f"{value:.3g}" for value in middle], padding=6)
        # The slowest is an order of magnitude off; on a linear scale the others would be specks.
        axis.set_xscale("log")
        axis.set_title(title, loc="left", fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    machine = told["machine"]
    drawing.text(0.01, 0.005, f"{machine['cpu']}, Python {machine['python']}", fontsize=7)
    drawing.tight_layout()
    drawing.savefig(chart, metadata={"Date": None})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
