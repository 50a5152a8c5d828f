"""What ended in the last hour, by minute, from the records of the ledger. Pure."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from contract.ledger import CANCELLED, FINISHED, Correction, Request

MINUTES = 60
"""How many minutes are kept."""

MOST_WAITS = 10_000
"""Waits of one minute that are looked at; those beyond are counted, but not their waits."""

MOST_LATEST = 1000
"""The latest records, which can be found by their jobs."""

_MINUTE = 60_000
"""Milliseconds."""


class Minute(msgspec.Struct, frozen=True):
    """What ended in one minute."""

    at: float
    """Unix time in seconds at which it began."""
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    median_wait: float | None = None
    """Seconds that requests had waited in the queue; None: none ended."""
    long_wait: float | None = None
    """Seconds that 95 % of them had waited at most."""


class _Counts:
    def __init__(self) -> None:
        self.finished = self.failed = self.cancelled = 0
        self.waits: list[int] = []


class Recent:
    """The last hour. `add` takes records in any order."""

    def __init__(self) -> None:
        self._minutes: dict[int, _Counts] = {}
        self._latest: OrderedDict[str, Request] = OrderedDict()

    def add(self, record: Request | Correction) -> None:
        """Take in a record. Corrections end nothing."""
        if not isinstance(record, Request):
            return
        self._latest[record.job] = record
        if len(self._latest) > MOST_LATEST:
            self._latest.popitem(last=False)
        minute = (record.asked + record.duration) // _MINUTE
        counts = self._minutes.setdefault(minute, _Counts())
        if record.outcome == FINISHED:
            counts.finished += 1
        elif record.outcome == CANCELLED:
            counts.cancelled += 1
        else:
            counts.failed += 1
        # One that no worker had has no wait that tells how quickly the queue moves.
        if record.sent and len(counts.waits) < MOST_WAITS:
            counts.waits.append(record.wait)
        if len(self._minutes) > 2 * MINUTES:
            self._forget(max(self._minutes) - MINUTES)

    def of_job(self, job: str) -> Request | None:
        """Return the record of a job, if it is one of the latest."""
        return self._latest.get(job)

    def minutes(self, now: float) -> list[Minute]:
        """Return the minutes up to `now`, in seconds of Unix time, the one that runs included."""
        last = int(now * 1000) // _MINUTE
        return [self._minute(each) for each in range(last - MINUTES + 1, last + 1)]

    def waits(self, now: float, minutes: int) -> tuple[float | None, float | None]:
        """Return what the median of the last minutes had waited, and 95 %, in seconds."""
        last = int(now * 1000) // _MINUTE
        counts = (self._minutes.get(each) for each in range(last - minutes + 1, last + 1))
        waits = sorted(wait for each in counts if each for wait in each.waits)
        return quantile(waits, 0.5), quantile(waits, 0.95)

    def _minute(self, minute: int) -> Minute:
        at, counts = minute * _MINUTE / 1000, self._minutes.get(minute)
        if counts is None:
            return Minute(at)
        waits = sorted(counts.waits)
        return Minute(
            at,
            counts.finished,
            counts.failed,
            counts.cancelled,
            quantile(waits, 0.5),
            quantile(waits, 0.95),
        )

    def _forget(self, before: int) -> None:
        for minute in [each for each in self._minutes if each < before]:
            del self._minutes[minute]


def quantile(waits: Sequence[int], part: float) -> float | None:
    """Return the seconds that this part of the waits, sorted and in ms, does not exceed."""
    return waits[max(0, math.ceil(len(waits) * part) - 1)] / 1000 if waits else None
