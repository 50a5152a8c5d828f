"""poe2gpt as it grows: what costs one answer should cost each of many the same.

The deployments of one group run at the same time, and their rounds alternate, as those of peers
do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from bench import backlog, peers, startup
from bench.figures import Report
from bench.peers import Peer, Start
from bench.rows import MANY_QUIET, ROWS, SHORT, Row
from bench.upstream import Load

Compare = Callable[[Mapping[str, Start], Sequence[Row], int, Report], Awaitable[None]]

_SHORT = [row for row in ROWS if row.load == SHORT]


class Size(Protocol):
    """One way to grow."""

    @property
    def name(self) -> str:
        """Its name on the command line."""

    async def measure(self, compare: Compare, rounds: int, report: Report) -> None:
        """Measure, and report each row when it is over."""


@dataclass(frozen=True)
class Grown:
    """Deployments of different sizes, by their names, beside each other."""

    name: str
    starts: Mapping[str, Start]
    rows: Sequence[Row]

    async def measure(self, compare: Compare, rounds: int, report: Report) -> None:
        named = [row.renamed(f"{row.name}, by {self.name}") for row in self.rows]
        await compare(self.starts, named, rounds, report)


@dataclass(frozen=True)
class Alone:
    """What needs a deployment to itself, or none of the upstream."""

    name: str
    run: Callable[[Compare, int, Report], Awaitable[None]]

    async def measure(self, compare: Compare, rounds: int, report: Report) -> None:
        await self.run(compare, rounds, report)


def _ours(unit: str, **sizes: int) -> tuple[str, Start]:
    (count,) = sizes.values()
    name = f"{count} {unit.removesuffix('s') if count == 1 else unit}"

    def start(directory: Path, url: str, loads: list[Load]) -> AbstractAsyncContextManager[Peer]:
        return peers.ours(directory, url, loads, name=name, **sizes)

    return name, start


async def _waiting(_: Compare, rounds: int, report: Report) -> None:
    await backlog.measure(rounds, report)


async def _starting(_: Compare, __: int, report: Report) -> None:
    await startup.measure(report)


async def _holding(compare: Compare, _: int, report: Report) -> None:
    await compare(MappingProxyType({"poe2gpt": peers.ours}), [MANY_QUIET], 1, report)


_TOKENS = dict(_ours("tokens", tokens=count) for count in (10, 200, 2_000, 10_000))
_CLIENTS = dict(_ours("clients", clients=count) for count in (1, 1_000))
_WORKERS = dict(_ours("workers", workers=count) for count in (1, 2, 4))

ALL: tuple[Size, ...] = (
    Grown("tokens", _TOKENS, _SHORT),
    Grown("clients", _CLIENTS, _SHORT),
    Grown("workers", _WORKERS, [*_SHORT, *(row for row in ROWS if row.count == 256)]),
    Alone("queue", _waiting),
    Alone("start", _starting),
    Alone("quiet", _holding),
)
