"""Accounts: which key belongs to which, what is left of its points, and its limits.

A key's prefix decides how Poe treats it, so that a command line needs no configuration:
`sim-bad…` is refused (401), `sim-broke…` has no points (402), `sim-limited…` is always over its
limit (429). Any other `sim-…` is valid, and an account of its own.

Times are seconds of one monotonic clock.
"""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING, Literal

import msgspec

from simulated_poe.settings import KeySettings, Settings

if TYPE_CHECKING:
    from simulated_poe.history import Row


class Limits(msgspec.Struct, frozen=True):
    rate_limit: int | None
    window: float
    cool_down: float
    max_in_flight: int | None
    tolerance: float


class Holder(msgspec.Struct, frozen=True):
    """The account behind a key, as this key sees it."""

    account: str
    points: int
    limits: Limits
    always_limited: bool = False


class Excess(msgspec.Struct, frozen=True):
    """A limit that a call exceeds."""

    kind: Literal["rate", "cooldown", "concurrency"]
    detail: str
    retry_after: float
    """Seconds after which the call would be within the limit."""


def fingerprint(key: str) -> str:
    """Return a name for a key that does not reveal it."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def holder_of(key: str, settings: Settings) -> Holder | None:
    """Return the account behind a key; None if Poe does not know the key."""
    known = settings.keys.get(key)
    if known is None and (not key.startswith("sim-") or key.startswith("sim-bad")):
        return None
    own = known if isinstance(known, KeySettings) else KeySettings(known or fingerprint(key))
    points = settings.points if own.points is None else own.points
    return Holder(
        account=own.account,
        points=0 if known is None and key.startswith("sim-broke") else points,
        limits=_limits(own, settings),
        always_limited=known is None and key.startswith("sim-limited"),
    )


def _limits(own: KeySettings, settings: Settings) -> Limits:
    return Limits(
        rate_limit=settings.rate_limit if own.rate_limit is None else own.rate_limit,
        window=settings.window,
        cool_down=settings.cool_down if own.cool_down is None else own.cool_down,
        max_in_flight=settings.max_in_flight if own.max_in_flight is None else own.max_in_flight,
        tolerance=settings.tolerance,
    )


class Account:
    """One account: its balance, and its calls as its limits count them."""

    def __init__(self, name: str, points: int) -> None:
        self.name = name
        self.points = points
        self.in_flight = 0
        self.most_in_flight = 0
        self.rows: list[Row] = []
        """Its points history."""
        self._starts: deque[float] = deque()

    def __repr__(self) -> str:
        return f"Account({self.name}, {self.points} points, {self.in_flight} in flight)"

    def remaining(self, limits: Limits, now: float) -> int:
        """Return how many more calls the rate limit allows now."""
        return max((limits.rate_limit or 0) - len(self._within(limits, now)), 0)

    def excesses(self, limits: Limits, now: float) -> list[Excess]:
        """Return the limits that a call started at `now` would exceed."""
        found = [self._rate(limits, now), self._cool_down(limits, now), self._in_flight(limits)]
        return [excess for excess in found if excess is not None]

    def start(self, now: float) -> None:
        self._starts.append(now)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def end(self) -> None:
        self.in_flight -= 1

    def charge(self, row: Row) -> None:
        """Take the points of a row, and add it to the history."""
        self.points -= row.charge.points
        self.rows.append(row)

    @property
    def spent(self) -> int:
        """The points of all rows together."""
        return sum(row.charge.points for row in self.rows)

    def _within(self, limits: Limits, now: float) -> deque[float]:
        while self._starts and self._starts[0] <= now - max(limits.window, limits.cool_down):
            self._starts.popleft()
        return deque(s for s in self._starts if s > now - limits.window + limits.tolerance)

    def _rate(self, limits: Limits, now: float) -> Excess | None:
        starts = self._within(limits, now)
        if limits.rate_limit is None or len(starts) < limits.rate_limit:
            return None
        # The start that must leave the window before another call fits.
        leaver = starts[len(starts) - limits.rate_limit] if limits.rate_limit else now
        detail = f"start {len(starts) + 1} within {limits.window} s"
        return Excess("rate", detail, leaver + limits.window - now)

    def _cool_down(self, limits: Limits, now: float) -> Excess | None:
        since = now - self._starts[-1] if self._starts else limits.cool_down
        if since >= limits.cool_down - limits.tolerance:
            return None
        return Excess("cooldown", f"{since:.3f} s after the last start", limits.cool_down - since)

    def _in_flight(self, limits: Limits) -> Excess | None:
        if limits.max_in_flight is None or self.in_flight < limits.max_in_flight:
            return None
        return Excess("concurrency", f"{self.in_flight} calls under way already", 1.0)
