"""Redis's clock, compared with a monotonic one: a step of it is seen, and taken out.

A process that reads another clock between two instants of its own knows the distance between the
clocks to within the time that the reading took. Two such distances, some time apart, differ by what
the clocks have drifted. If they cannot both be true, the other clock was set in between.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Coroutine
from typing import Any

from contract.calls.clock import CheckClock, ClockReading

DRIFT = 0.001
"""Seconds in a second by which two clocks may drift apart; clocks that are kept right are far
better."""

SMALLEST_STEP = 0.1
"""Seconds. Time services slew a clock by smaller amounts, and step it by larger ones."""

TICK = 0.001
"""Seconds: the resolution of Redis's clock as we read it."""


class Clock:
    """Redis's clock as it is known by our monotonic one. All times are in seconds."""

    def __init__(self) -> None:
        self._low = -math.inf
        self._high = math.inf
        """Between these is the distance from our clock to Redis's, as of `_learned`."""
        self._learned = 0.0

    @property
    def known(self) -> bool:
        """Whether Redis's clock has been looked at."""
        return self._low > -math.inf

    def learn(self, told: float, asked: float, heard: float) -> float:
        """Take in that Redis's clock said `told` when it was read between two of our instants.

        Returns by how much it was set ahead (or back, if negative), else 0. After a step, what was
        known before is kept: it is right again once the step has been taken out.
        """
        low, high = told - heard, told + TICK - asked
        drift = DRIFT * max(asked - self._learned, 0.0) if self.known else 0.0
        known_low, known_high = self._low - drift, self._high + drift
        if low > known_high + SMALLEST_STEP or high < known_low - SMALLEST_STEP:
            return (low + high - known_low - known_high) / 2
        if max(low, known_low) <= min(high, known_high):
            low, high = max(low, known_low), min(high, known_high)
        self._low, self._high, self._learned = low, high, heard
        return 0.0

    def forget(self) -> None:
        """Forget all readings: our own clock stood still."""
        self._low, self._high = -math.inf, math.inf

    def at(self, now: float) -> float:
        """Return what Redis's clock says at our `now`, as far as we know."""
        return now + (self._low + self._high) / 2

    def bounds(self, now: float, patience: float = 0.0) -> str:
        """The first argument of a script that is sent at `now`: the time that it may find.

        A script that runs later than `patience` from now takes the latest of these times.
        """
        if not self.known:
            return "0"
        drift = DRIFT * max(now - self._learned, 0.0)
        earliest = math.floor((now + self._low - drift) * 1000)
        latest = math.ceil((now + self._high + drift + patience) * 1000)
        return f"{earliest}-{latest}"


async def keep_time(
    clock: Clock, run: Callable[[CheckClock], Coroutine[Any, Any, ClockReading]]
) -> float:
    """Look at Redis's clock, and take out the step that it has made.

    `run` runs the call. Returns by how many seconds the clock was found to have been set ahead or
    back, and has been put right for all by this very call; else 0. Raises RedisFault.
    """
    asked = time.monotonic()
    reading = await run(CheckClock())
    step = clock.learn(reading.now, asked, time.monotonic())
    if not step:
        return reading.step
    outcome = (await run(CheckClock(step, reading.steps))).outcome
    if outcome == "passed":
        clock.forget()
        return await keep_time(clock, run)
    return step if outcome == "taken" else 0.0


def described(step: float) -> str:
    """Return what a log says of a step."""
    direction = "ahead" if step > 0 else "back"
    return f"Redis's clock was set {direction} by {abs(step):.1f} s; the limits go on without it"
