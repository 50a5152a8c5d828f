"""What was asked and what it cost, summed over records of the ledger.

A day is a day of `zone`. A request counts on the day on which it was asked, a correction on that of
the row of Poe's history which it goes by. All is counted in memory, in one cell for each
combination of the dimensions that occurs, however many records there are.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Iterator, Sequence
from zoneinfo import ZoneInfo

import msgspec

from contract.ledger import CANCELLED, FINISHED, LedgerRecord, Request

DAY, KEY, GROUP, MODEL, ACCOUNT = DIMENSIONS = ("day", "key", "group", "model", "account")
"""What can be told apart. A key is known by its id, which another name does not change."""

OTHER = "(other)"
"""Stands for all models of a day but the first `MOST_MODELS`."""

MOST_MODELS = 1_000
"""Models of a day that are told apart: clients name them, and may name any."""

_QUARTER = 900_000
"""Milliseconds within which no day begins: the time of all zones differs by whole quarters."""

_LAST_SECOND = 253_000_000_000.0
"""In the year 9987: no calendar goes further, and Poe may say anything of when a call was."""

_STEP = math.log(1.05)


class Filter(msgspec.Struct, frozen=True):
    """Which records count. What is empty lets all pass."""

    since: float = 0.0
    """Unix time in ms from which on they were asked."""
    until: float = math.inf
    """Unix time in ms before which they were asked."""
    keys: frozenset[str] = frozenset()
    """Names or ids."""
    groups: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    """As clients name them, in lower case."""

    def passes(self, record: LedgerRecord) -> bool:
        """Return whether this record counts."""
        at = record.asked if isinstance(record, Request) else record.at
        if not self.since <= at < self.until:
            return False
        if self.keys and not {record.client, record.name} & self.keys:
            return False
        if self.groups and record.group not in self.groups:
            return False
        return not self.models or record.model.lower() in self.models


class Spread:
    """How some durations are spread: their mean, and percentiles that are within 3 % of the truth.

    It takes some bytes for each 5 % between the shortest and the longest, however many there are.
    """

    __slots__ = ("_counts", "_sum", "count")

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}
        self._sum = 0
        self.count = 0

    def add(self, milliseconds: int) -> None:
        """Take in a duration."""
        bucket = int(math.log(milliseconds + 1) / _STEP) if milliseconds > 0 else 0
        self._counts[bucket] = self._counts.get(bucket, 0) + 1
        self._sum += milliseconds
        self.count += 1

    def merge(self, other: Spread) -> None:
        """Take in all durations of another one."""
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count
        self.merge_mean(other)

    def merge_mean(self, other: Spread) -> None:
        """Take in all durations of another one for the mean only, which is quick."""
        self._sum += other._sum
        self.count += other.count

    @property
    def mean(self) -> float:
        """The mean in seconds; 0 if there is none."""
        return self._sum / self.count / 1000 if self.count else 0.0

    def percentile(self, part: float) -> float:
        """Return the seconds that this part of the durations does not exceed, or 0."""
        left = math.ceil(self.count * part)
        for bucket in sorted(self._counts):
            left -= self._counts[bucket]
            if left <= 0:
                return (math.exp((bucket + 0.5) * _STEP) - 1) / 1000 if bucket else 0.0
        return 0.0


class Sums:
    """The sums of some records."""

    __slots__ = (
        "cached_tokens",
        "cancelled",
        "completion_tokens",
        "corrected",
        "duration",
        "estimated",
        "failed",
        "prompt_tokens",
        "requests",
        "settled",
        "unmatched",
        "wait",
    )

    def __init__(self) -> None:
        self.requests = self.failed = self.cancelled = 0
        self.prompt_tokens = self.completion_tokens = self.cached_tokens = 0
        self.estimated = self.settled = 0
        self.corrected = 0
        """What Poe charged beside what was settled; negative if it charged less."""
        self.unmatched = 0
        """What Poe charged the accounts for calls that are none of ours. Not part of `points`."""
        self.wait = Spread()
        self.duration = Spread()

    @property
    def points(self) -> int:
        """What the requests cost, as far as is known."""
        return self.settled + self.corrected

    def add(self, record: LedgerRecord) -> None:
        """Take in a record."""
        if isinstance(record, Request):
            self._add(record)
        elif record.job:
            self.corrected += record.points
        else:
            self.unmatched += record.points

    def _add(self, request: Request) -> None:
        self.requests += 1
        if request.outcome == CANCELLED:
            self.cancelled += 1
        elif request.outcome != FINISHED:
            self.failed += 1
        self.prompt_tokens += request.prompt_tokens
        self.completion_tokens += request.completion_tokens
        self.cached_tokens += request.cached_tokens
        self.estimated += request.estimated
        self.settled += request.settled
        self.wait.add(request.wait)
        self.duration.add(request.duration)

    def merge(self, other: Sums) -> None:
        """Take in all that another one has."""
        self._merge_counts(other)
        self.wait.merge(other.wait)
        self.duration.merge(other.duration)

    def merge_without_percentiles(self, other: Sums) -> None:
        """Take in all that another one has but for percentiles, which take most of the time."""
        self._merge_counts(other)
        self.wait.merge_mean(other.wait)
        self.duration.merge_mean(other.duration)

    def _merge_counts(self, other: Sums) -> None:
        self.requests += other.requests
        self.failed += other.failed
        self.cancelled += other.cancelled
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cached_tokens += other.cached_tokens
        self.estimated += other.estimated
        self.settled += other.settled
        self.corrected += other.corrected
        self.unmatched += other.unmatched


COUNTS = tuple(name for name in Sums.__slots__ if name not in ("wait", "duration"))


class Row(msgspec.Struct, frozen=True):
    """The sums of what has the same values in some dimensions."""

    values: dict[str, str]
    """By dimension; a key is named as it was named last."""
    client: str
    """The key's id, if keys are told apart."""
    sums: Sums


class Usage:
    """Sums of records, told apart by some of the dimensions.

    `zone` is where days begin, by its name in the IANA database. Raises ValueError or LookupError
    for one that is none.
    """

    def __init__(self, zone: str = "UTC", by: Iterable[str] = DIMENSIONS) -> None:
        self.zone = zone
        self._by = frozenset(by)
        self._cells: dict[tuple[str, ...], Sums] = {}
        self._names: dict[str, str] = {}
        """What each key was called last, by its id."""
        self._models: dict[str, set[str]] = {}
        """Those of each day that are told apart."""
        self._zone = ZoneInfo(zone)
        self._days: dict[int, str] = {}

    def add(self, record: LedgerRecord) -> None:
        """Take in a record."""
        at = record.asked if isinstance(record, Request) else record.at
        by = self._by
        day = self._day(at) if DAY in by else ""
        cell = (
            day,
            record.client if KEY in by else "",
            record.group if GROUP in by else "",
            self._model(day, record.model) if MODEL in by else "",
            record.account if ACCOUNT in by else "",
        )
        sums = self._cells.get(cell)
        if sums is None:
            sums = self._cells[cell] = Sums()
        sums.add(record)
        if KEY in by and record.client:
            self._names[record.client] = record.name

    def forget(self, before: str) -> None:
        """Drop all days before this one."""
        for cell in [each for each in self._cells if each[0] < before]:
            del self._cells[cell]
        for day in [each for each in self._models if each < before]:
            del self._models[day]

    def total(self, among: Iterable[Row] | None = None) -> Sums:
        """Return the sums of these rows, or of everything."""
        total = Sums()
        every = self._cells.values() if among is None else (row.sums for row in among)
        for sums in every:
            total.merge(sums)
        return total

    def rows(
        self,
        by: Sequence[str],
        *,
        since: str = "",
        until: str = "~",
        keys: frozenset[str] = frozenset(),
        groups: frozenset[str] = frozenset(),
        models: frozenset[str] = frozenset(),
        percentiles: bool = True,
    ) -> list[Row]:
        """Return a row for each combination of values in the dimensions `by`, which are told apart.

        Days are in their order, anything else by what it has cost, the dearest first. `since` and
        `until` are the first and the last day; `keys` are names or ids. Without `percentiles`,
        which then are 0, it takes a tenth of the time.
        """
        places = [DIMENSIONS.index(each) for each in by]
        found: dict[tuple[str, ...], Sums] = {}
        merge = Sums.merge if percentiles else Sums.merge_without_percentiles
        for cell, sums in self._cells.items():
            day, client, group, model, _ = cell
            if not since <= day <= until or (groups and group not in groups):
                continue
            if keys and not {client, self._names.get(client, "")} & keys:
                continue
            if models and model not in models:
                continue
            values = tuple([cell[place] for place in places])
            into = found.get(values)
            if into is None:
                into = found[values] = Sums()
            merge(into, sums)
        return [self._row(by, values, found[values]) for values in _ordered(by, found)]

    def _row(self, by: Sequence[str], values: tuple[str, ...], sums: Sums) -> Row:
        named = dict(zip(by, values, strict=True))
        client = named.get(KEY, "")
        if KEY in named:
            named[KEY] = self._names.get(client, client)
        return Row(named, client, sums)

    def _model(self, day: str, model: str) -> str:
        known = self._models.setdefault(day, set())
        if model not in known:
            if len(known) >= MOST_MODELS:
                return OTHER
            known.add(model)
        return model

    def _day(self, at: float) -> str:
        quarter = int(at // _QUARTER)
        day = self._days.get(quarter)
        if day is None:
            if len(self._days) > 10_000:
                self._days.clear()
            seconds = min(max(quarter * _QUARTER / 1000, 0.0), _LAST_SECOND)
            begins = datetime.datetime.fromtimestamp(seconds, self._zone)
            day = self._days[quarter] = begins.date().isoformat()
        return day


def _ordered(by: Sequence[str], found: dict[tuple[str, ...], Sums]) -> list[tuple[str, ...]]:
    points: dict[tuple[str, ...], int] = {}
    for values, sums in found.items():
        for length in range(1, len(values) + 1):
            beginning = values[:length]
            points[beginning] = points.get(beginning, 0) + sums.points

    def order(values: tuple[str, ...]) -> Iterator[tuple[int, str]]:
        for place, (dimension, value) in enumerate(zip(by, values, strict=True)):
            yield (0 if dimension == DAY else -points[values[: place + 1]], value)

    return sorted(found, key=lambda values: tuple(order(values)))
