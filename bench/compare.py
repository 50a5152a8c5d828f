"""Compares poe2gpt with other gateways: `python -m bench.compare [--quick] [--only NAME,...]`.

Every peer runs on this machine at the same time, in front of the same simulated upstream. The
rounds of a row alternate between them, so that whatever else the machine does meets all alike.
What is told of each row is the median of its rounds, with the least and the most: CPU time of all
processes of a peer, as the kernel tells it, and what clients see. An answer that is not what the
upstream said, byte for byte, ends the run; a peer that refuses a request has no figures in its row.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop

from bench import peers, sizes, upstream
from bench.figures import Figures, Report, render
from bench.load import Refused, streams
from bench.peers import Missing, Peer, Start
from bench.rows import ROWS, Held, Row
from runtime import open_files

LONGEST = 20.0
"""Seconds after which a peer gets no further round of a row: the slowest would take most of the
time."""


async def compare(
    starts: Mapping[str, Start], rows: Sequence[Row], rounds: int, report: Report
) -> None:
    """Measure these peers, by their names, and report each row when its last round is over."""
    loads = list({row.load.model: row.load for row in rows}.values())
    with tempfile.TemporaryDirectory(prefix="p2g-bench-") as directory:
        place = Path(directory)
        async with contextlib.AsyncExitStack() as stack:
            url = await stack.enter_async_context(upstream.running(place, loads))
            running = []
            for name, start in starts.items():
                say(f"starting {name}")
                try:
                    running.append(await stack.enter_async_context(start(place, url, loads)))
                except (Missing, AssertionError) as reason:
                    report.leave_out(name, str(reason))
                    continue
                await _warm(running[-1], rows)
            for row in rows:
                await _compare_in(row, running, rounds, report)


async def _compare_in(row: Row, running: list[Peer], rounds: int, report: Report) -> None:
    found: dict[str, list[Figures]] = {}
    taken: dict[str, float] = {}
    left = [peer for peer in running if row.suits(peer)]
    for _ in range(rounds):
        for peer in [peer for peer in left if taken.get(peer.name, 0.0) < LONGEST]:
            say(f"{row.name}: {peer.name}")
            began = time.monotonic()
            try:
                figures = await row.measure(peer)
            except (Missing, Refused, TimeoutError) as reason:
                left.remove(peer)
                why = str(reason) or "an answer took more than two minutes"
                report.leave_out(f"{peer.name}, {row.name}", why)
                continue
            found.setdefault(peer.name, []).append(figures)
            taken[peer.name] = taken.get(peer.name, 0.0) + time.monotonic() - began
    for name, figures_of in found.items():
        report.add(row.name, name, figures_of)


async def _warm(peer: Peer, rows: Sequence[Row]) -> None:
    for load in {row.load for row in rows if not row.load.quiet}:
        for answer in await streams(peer.target, load, 4):
            answer.check(load)


def say(text: str) -> None:
    """Tell whoever watches how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


async def run(asked: argparse.Namespace, report: Report) -> None:
    """Measure what was asked for."""
    rounds = asked.rounds or (1 if asked.quick else 5)
    rows, starts = asked.rows, asked.only
    if starts and (costs := [row for row in rows if not isinstance(row, Held)]):
        await compare(starts, costs, rounds, report)
    if starts and (memory := [row for row in rows if isinstance(row, Held)]):
        # By new processes, and once: memory that an earlier row gave back would count as none.
        await compare(starts, memory, 1, report)
    for size in sizes.ALL if asked.sizes is not None else ():
        if not asked.sizes or size.name in asked.sizes:
            say(size.name)
            await size.measure(compare, asked.rounds or 3, report)


def main() -> None:
    """Compare, print a table, and optionally write the figures as JSON."""
    asked = parsed(sys.argv[1:])
    if reason := upstream.why_missing():
        sys.exit(f"cannot measure: {reason}")
    open_files.allow_many()
    report = Report.kept_in(asked.json)
    uvloop.run(run(asked, report))
    print(render(report.rows))
    for name, why in report.missing.items():
        print(f"\n{name} was left out: {why}")


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line. Exits with 2 if it is invalid, as where it names no row or peer."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="one minute: fewer rows and rounds")
    parser.add_argument(
        "--only",
        type=_peers,
        default=",".join(peers.ALL),
        metavar="NAMES",
        help=f"the peers to measure: some of {','.join(peers.ALL)}; '' for none",
    )
    parser.add_argument(
        "--rows", nargs="+", default=[""], help="only rows whose names contain one of these"
    )
    parser.add_argument("--rounds", type=int, help="rounds per row, by default 5")
    parser.add_argument(
        "--sizes",
        nargs="*",
        choices=[size.name for size in sizes.ALL],
        help="also measure poe2gpt as it grows, in all ways or in these",
    )
    parser.add_argument(
        "--json", type=Path, help="write the figures to this file, row by row; other rows stay"
    )
    asked = parser.parse_args(arguments)
    if asked.rounds is not None and asked.rounds < 1:
        parser.error("argument --rounds: expected 1 or more")
    if asked.json and not asked.json.parent.is_dir():
        parser.error(f"argument --json: there is no directory {asked.json.parent}")
    rows = [row for row in ROWS if row.quick or not asked.quick]
    for part in asked.rows:
        if not any(part in row.name for row in rows):
            known = "".join(f"\n  {row.name}" for row in rows)
            parser.error(f"argument --rows: no row has {part!r} in its name; they are:{known}")
    asked.rows = [row for row in rows if any(part in row.name for part in asked.rows)]
    return asked


def _peers(text: str) -> dict[str, Start]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in peers.ALL:
            known = ", ".join(peers.ALL)
            raise argparse.ArgumentTypeError(f"there is no peer {name!r}; they are {known}")
    return {name: peers.ALL[name] for name in names}


if __name__ == "__main__":
    main()
