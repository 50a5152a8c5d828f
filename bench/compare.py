"""Compares poe2gpt with other gateways: `python -m bench.compare [--quick] [--only NAME,...]`.

Every peer runs on this machine at the same time, in front of the same simulated upstream. The
rounds alternate between them, so that whatever else the machine does meets all alike. What is told
of each row is the median of its rounds, with the least and the most: CPU time of all processes of a
peer, as the kernel tells it, and what clients see. An answer that is not what the upstream said,
byte for byte, ends the run.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import platform
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import uvloop

from bench import peers, processes, upstream
from bench.load import Answer, Target, held, streams, wholes
from bench.peers import Missing, Peer
from bench.upstream import Load
from runtime import open_files

SHORT = Load(1)


@dataclass(frozen=True)
class Size:
    """The size of a poe2gpt deployment."""

    name: str
    tokens: int = 200
    workers: int = 1


Figures = dict[str, float]
"""The figures of one round, by name; the name ends with the unit."""


@dataclass(frozen=True)
class Row:
    """One kind of load."""

    name: str
    load: Load
    count: int
    """Concurrent streams; for whole answers, clients that each send one request after another."""
    stream: bool = True
    seconds: float = 3.0
    """How long clients request whole answers."""
    quick: bool = True
    """Whether `--quick` includes it."""

    async def measure(self, peer: Peer) -> Figures:
        """Run the load, and return its cost and what clients saw."""
        gc.collect()
        before = {part: processes.cpu(pids) for part, pids in peer.parts.items()}
        answers = await self._ask(peer.target)
        spent = {part: processes.cpu(pids) - before[part] for part, pids in peer.parts.items()}
        for answer in answers:
            answer.check(self.load)
        return self._cost(spent, answers) | _seen(answers)

    async def _ask(self, target: Target) -> list[Answer]:
        if self.stream:
            return await streams(target, self.load, self.count)
        return await wholes(target, self.load, self.count, self.seconds)

    def _cost(self, spent: dict[str, float], answers: list[Answer]) -> Figures:
        if self.stream:
            total, unit, scale = len(answers) * self.load.chunks, "us a chunk", 1e6
        else:
            total, unit, scale = len(answers), "ms an answer", 1e3
        parts = {f"{part} {unit}": cpu / total * scale for part, cpu in spent.items()}
        whole = {f"CPU {unit}": sum(spent.values()) / total * scale}
        return whole | (parts if len(parts) > 1 else {})


@dataclass(frozen=True)
class Held(Row):
    """Open, silent streams, to measure the memory that each takes."""

    async def measure(self, peer: Peer) -> Figures:
        before = {part: processes.resident(pids) for part, pids in peer.parts.items()}
        open_now: dict[str, int] = {}

        def look() -> float:
            open_now.update({p: processes.resident(pids) for p, pids in peer.parts.items()})
            return 0.0

        answers, _ = await held(peer.target, self.load, self.count, look)
        for answer in answers:
            answer.check(self.load)
        each = {p: (open_now[p] - before[p]) / self.count / 1024 for p in before}
        parts = {f"{part} KB": kib for part, kib in each.items()} if len(each) > 1 else {}
        return {"memory KB a stream": sum(each.values()), **parts}


ROWS: tuple[Row, ...] = (
    Row("20 paced streams", Load(100, 20), 20, quick=False),
    Row("100 paced streams", Load(100, 20), 100),
    Row("256 paced streams", Load(50, 20), 256),
    Row("64 streams, unpaced", Load(2000), 64),
    Row("short answers, 64 clients", SHORT, 64, stream=False),
    Row("short answers, 1 client", SHORT, 1, stream=False, quick=False),
    Held("3000 quiet streams", Load(quiet=15), 3000, quick=False),
)

SIZES = (
    *(Size(f"{tokens} tokens", tokens=tokens) for tokens in (10, 200, 2_000, 10_000)),
    *(Size(f"{workers} workers", workers=workers) for workers in (1, 2, 4)),
)
"""poe2gpt at other sizes, each measured with short answers for 64 clients and for one."""


def _seen(answers: list[Answer]) -> Figures:
    whole = sorted(answer.ended - answer.sent for answer in answers)
    seen = {"whole p50 ms": _at(whole, 0.5) * 1e3, "whole p99 ms": _at(whole, 0.99) * 1e3}
    if answers[0].stream:
        first = sorted(answer.first_word() for answer in answers)
        gaps = sorted(gap for answer in answers for gap in answer.gaps()) or [0.0]
        seen |= {"first p50 ms": _at(first, 0.5) * 1e3, "first p99 ms": _at(first, 0.99) * 1e3}
        seen |= {"gap p50 ms": _at(gaps, 0.5) * 1e3, "gap p99 ms": _at(gaps, 0.99) * 1e3}
    else:
        seen["answers"] = float(len(answers))
    return seen


def _at(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


Table = dict[str, dict[str, dict[str, list[float]]]]
"""By row, peer and figure: minimum, median, maximum."""


async def compare(names: list[str], rows: list[Row], rounds: int) -> tuple[Table, dict[str, str]]:
    """Return the figures of all rounds, and the reason for each missing peer."""
    loads = list({row.load.model: row.load for row in rows}.values())
    raw: dict[str, dict[str, list[Figures]]] = {row.name: {} for row in rows}
    missing: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="p2g-bench-") as directory:
        place = Path(directory)
        async with contextlib.AsyncExitStack() as stack:
            url = await stack.enter_async_context(upstream.running(place, loads))
            running = []
            for name in names:
                try:
                    peer = await stack.enter_async_context(peers.ALL[name](place, url, loads))
                except Missing as reason:
                    missing[name] = str(reason)
                    continue
                running.append(peer)
                await _warm(peer, rows)
            for _ in range(rounds):
                for row in rows:
                    for peer in running:
                        _say(f"{row.name}: {peer.name}")
                        figures = await row.measure(peer)
                        raw[row.name].setdefault(peer.name, []).append(figures)
    return _table(raw), missing


async def sizes(rounds: int) -> Table:
    """Return the cost of short answers as the deployment grows, which should stay constant."""
    rows = [row for row in ROWS if row.load == SHORT]
    raw: dict[str, dict[str, list[Figures]]] = {row.name + ", by size": {} for row in rows}
    with tempfile.TemporaryDirectory(prefix="p2g-bench-") as directory:
        place = Path(directory)
        async with upstream.running(place, [SHORT]) as url:
            for size in SIZES:
                _say(size.name)
                ours = peers.ours(place, url, [SHORT], tokens=size.tokens, workers=size.workers)
                async with ours as peer:
                    await _warm(peer, rows)
                    for row in rows:
                        figures = [await row.measure(peer) for _ in range(rounds)]
                        raw[row.name + ", by size"][size.name] = figures
    return _table(raw)


async def _warm(peer: Peer, rows: list[Row]) -> None:
    for row in rows:
        if not row.load.quiet:
            for answer in await streams(peer.target, row.load, 4):
                answer.check(row.load)


def _table(raw: dict[str, dict[str, list[Figures]]]) -> Table:
    return {
        row: {
            peer: {
                name: [min(values), median(values), max(values)]
                for name in rounds[0]
                for values in [[figures[name] for figures in rounds]]
            }
            for peer, rounds in by_peer.items()
        }
        for row, by_peer in raw.items()
    }


def render(table: Table) -> str:
    """Render the figures as lines of text: the median, and the range in brackets."""
    lines = []
    for row, by_peer in table.items():
        lines.append(f"\n{row}")
        for peer, figures in by_peer.items():
            told = ", ".join(f"{name} {_told(values)}" for name, values in figures.items())
            lines.append(f"  {peer:<22} {told}")
    return "\n".join(lines)


def _told(values: list[float]) -> str:
    least, middle, most = (f"{value:.3g}" for value in values)
    return middle if least == most else f"{middle} [{least}-{most}]"


def machine() -> dict[str, str]:
    """Describe the machine."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": f"{os.cpu_count()} x {model}",
        "system": f"{platform.system()} {platform.release()}",
        "python": peers.PYTHON,
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Compare, print a table, and optionally write the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one minute: fewer rows and rounds")
    parser.add_argument(
        "--only", default=",".join(peers.ALL), help="the peers to measure, such as poe2gpt,nginx"
    )
    parser.add_argument("--rows", default="", help="measure only rows whose names contain this")
    parser.add_argument("--rounds", type=int, default=0, help="rounds per row")
    parser.add_argument("--sizes", action="store_true", help="also measure poe2gpt at other sizes")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    asked = parser.parse_args()
    if reason := upstream.why_missing():
        parser.exit(1, f"cannot measure: {reason}\n")
    rows = [row for row in ROWS if asked.rows in row.name and (row.quick or not asked.quick)]
    rounds = asked.rounds or (1 if asked.quick else 5)
    open_files.allow_many()
    table, missing = uvloop.run(compare(asked.only.split(","), rows, rounds))
    print(render(table))
    for name, why in missing.items():
        print(f"\n{name} was left out: {why}")
    if asked.sizes:
        grown = uvloop.run(sizes(rounds))
        print(render(grown))
        table |= grown
    if asked.json:
        figures = {"machine": machine(), "rounds": rounds, "rows": table, "missing": missing}
        asked.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
