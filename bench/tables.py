"""Writes the figures of `bench.compare` into a page: `python -m bench.tables FIGURES.json PAGE.md`.

The tables take the place of what stands between the page's two comments.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- figures: written by bench.tables -->", "<!-- /figures -->"
OURS, PARTS = "poe2gpt", ("gateway", "worker", "Redis")
UNITS = {"CPU us a chunk": "µs a chunk", "CPU ms an answer": "ms"}
SEEN = {"first": "first word", "gap": "gap between chunks", "whole": "whole answer"}
MEMORY = "memory KB a stream"

Rows = dict[str, dict[str, dict[str, list[float]]]]


def main(figures: Path, page: Path) -> None:
    """Replace the tables of the page."""
    told = json.loads(figures.read_text())
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{page} lacks the comments {BEGIN} and {END}")
    lines = "\n".join(_tables(told))
    page.write_text(f"{before}{BEGIN}\n{lines}\n{END}{after}")


def _tables(told: dict[str, Any]) -> Iterator[str]:
    rows: Rows = told["rows"]
    compared = {name: peers for name, peers in rows.items() if ", by " not in name}
    machine = told["machine"]
    yield f"{told['date']}, commit {told['commit']}: {', '.join(machine.values())}."
    yield "Medians; in brackets the range of the rounds, in parentheses gateway / worker / Redis.\n"
    costs = {n: p for n, p in compared.items() if _figure(p) in UNITS}
    yield from _table(["CPU of all processes", *_names(costs)], _costs(costs))
    yield ""
    yield from _table(["what a client sees, ms", *_names(costs)], _seen(costs))
    yield ""
    held = {n: p for n, p in compared.items() if _figure(p) == MEMORY}
    yield from _table(["memory, KB a stream", *_names(held)], _costs(held))
    for name, peers in rows.items():
        if name not in compared:
            yield ""
            yield from _grown(name, peers)
    for what, why in told["missing"].items():
        yield f"\nNot measured: {what}, since {why}"


def _costs(rows: Rows) -> Iterator[list[str]]:
    for name, peers in rows.items():
        figure = _figure(peers)
        cells = [_cell(peers.get(peer, {}), figure) for peer in _names(rows)]
        yield [f"{name}, {UNITS[figure]}" if figure in UNITS else name, *cells]


def _cell(figures: dict[str, list[float]], figure: str) -> str:
    if figure not in figures:
        return "–"
    least, middle, most = figures[figure]
    said = _short(middle) if least == most else f"{_short(middle)} [{_short(least)}–{_short(most)}]"
    unit = figure.partition(" ")[2]
    parts = [figures.get(f"{part} {unit.removesuffix(' a stream')}") for part in PARTS]
    shares = " / ".join(_short(part[1]) for part in parts if part)
    return f"**{said}** ({shares})" if shares else said


def _seen(rows: Rows) -> Iterator[list[str]]:
    for name, peers in rows.items():
        for what, said in SEEN.items():
            p50, p99 = f"{what} p50 ms", f"{what} p99 ms"
            if all(p50 in figures for figures in peers.values()):
                found = [peers.get(peer) for peer in _names(rows)]
                cells = [f"{_short(f[p50][1])} / {_short(f[p99][1])}" if f else "–" for f in found]
                yield [f"{name}: {said}, p50 / p99", *cells]


def _grown(name: str, peers: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    what = [f for f in next(iter(peers.values())) if not f.startswith(tuple(SEEN))]
    what = [figure for figure in what if figure != "answers"]
    body = ([peer, *(_plain(figures[f]) for f in what)] for peer, figures in peers.items())
    yield from _table([name, *(figure.replace(" us", " µs") for figure in what)], body)


def _plain(values: list[float]) -> str:
    least, middle, most = map(_short, values)
    return middle if least == most else f"{middle} [{least}–{most}]"


def _names(rows: Rows) -> list[str]:
    return list(dict.fromkeys(peer for peers in rows.values() for peer in peers))


def _figure(peers: dict[str, dict[str, list[float]]]) -> str:
    """Return the name of the first figure of a row, which is what it is about."""
    return next(iter(next(iter(peers.values()))))


def _table(head: list[str], body: Iterable[list[str]]) -> Iterator[str]:
    rows = list(body)
    if rows:
        for row in (head, ["---"] * len(head), *rows):
            yield f"| {' | '.join(row)} |"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.3g}" if value >= 1 else f"{value:.2g}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
