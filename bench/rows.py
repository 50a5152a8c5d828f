"""The kinds of load that are measured, and what each tells of a peer."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from typing import Self

from bench import processes
from bench.figures import Figures
from bench.load import Answer, held, streams, wholes
from bench.peers import Missing, Peer
from bench.upstream import Load

SHORT = Load(1)


@dataclass(frozen=True)
class Row:
    """One kind of load."""

    name: str
    load: Load
    count: int
    """Concurrent streams; for whole answers, connections that each send one request after
    another."""
    stream: bool = True
    seconds: float = 3.0
    """How long whole answers are requested."""
    quick: bool = True
    """Whether `--quick` includes it."""

    def renamed(self, name: str) -> Self:
        """Return the same row by another name."""
        return replace(self, name=name)

    async def measure(self, peer: Peer) -> Figures:
        """Run the load, and return its cost and what clients saw."""
        gc.collect()
        before = _cpu(peer)
        answers = await self._ask(peer)
        spent = {part: cpu - before[part] for part, cpu in _cpu(peer).items()}
        for answer in answers:
            answer.check(self.load)
        return self._cost(spent, answers) | _seen(self._watched(answers))

    def suits(self, _: Peer) -> bool:
        """Return whether the peer can bear this load."""
        return True

    async def _ask(self, peer: Peer) -> list[Answer]:
        if self.stream:
            return await streams(peer.target, self.load, self.count)
        return await wholes(peer.target, self.load, self.count, self.seconds)

    def _watched(self, answers: list[Answer]) -> list[Answer]:
        """Return the answers that show what a client sees."""
        return answers

    def _cost(self, spent: dict[str, float], answers: list[Answer]) -> Figures:
        if self.stream:
            total, unit, scale = len(answers) * self.load.chunks, "us a chunk", 1e6
        else:
            total, unit, scale = len(answers), "ms an answer", 1e3
        parts = {f"{part} {unit}": cpu / total * scale for part, cpu in spent.items()}
        whole = {f"CPU {unit}": sum(spent.values()) / total * scale}
        return whole | (parts if len(parts) > 1 else {})


@dataclass(frozen=True)
class Overlapping(Row):
    """Paced streams, `count` at any time: three times as many, each a step after the one before.

    What is seen is of those that begin while `count` are under way.
    """

    async def _ask(self, peer: Peer) -> list[Answer]:
        apart = self.load.chunks * self.load.pause_ms / 1e3 / self.count
        return await streams(peer.target, self.load, 3 * self.count, apart)

    def _watched(self, answers: list[Answer]) -> list[Answer]:
        return answers[self.count :]


@dataclass(frozen=True)
class Held(Row):
    """Open, silent streams, to measure the memory that each takes."""

    async def measure(self, peer: Peer) -> Figures:
        """Raises Missing where some end before all are open."""
        before = _resident(peer)
        answers, open_now = await held(peer.target, self.load, self.count, lambda: _resident(peer))
        for answer in answers:
            answer.check(self.load)
        if open_now is None:
            raise Missing(f"it does not open {self.count} streams within {self.load.quiet} s")
        each = {part: (open_now[part] - before[part]) / self.count / 1024 for part in before}
        parts = {f"{part} KB": kib for part, kib in each.items()} if len(each) > 1 else {}
        return {"memory KB a stream": sum(each.values()), **parts}

    def suits(self, peer: Peer) -> bool:
        """Return whether the peer opens so many streams while the first are still silent."""
        return not peer.is_slow


ROWS: tuple[Row, ...] = (
    Row("20 paced streams", Load(100, 20), 20, quick=False),
    Row("100 paced streams", Load(100, 20), 100),
    Row("256 paced streams", Load(50, 20), 256),
    Row("64 streams, unpaced", Load(1000), 64),
    Row("short answers, 64 clients", SHORT, 64, stream=False),
    Row("short answers, 1 client", SHORT, 1, stream=False, quick=False),
    Overlapping("100 paced streams, overlapping", Load(100, 20), 100, quick=False),
    Held("3000 quiet streams", Load(quiet=15), 3000, quick=False),
)

MANY_QUIET = Held("10000 quiet streams", Load(quiet=75), 10_000, quick=False)
"""Needs 20,000 open files in each process."""


def _cpu(peer: Peer) -> dict[str, float]:
    return {part: processes.cpu(pids) for part, pids in peer.parts.items()}


def _resident(peer: Peer) -> dict[str, int]:
    return {part: processes.resident(pids) for part, pids in peer.parts.items()}


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
