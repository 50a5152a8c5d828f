"""The call that keeps Redis's clock right."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from contract.calls.call import Call, Word, milliseconds


class ClockReading(msgspec.Struct, frozen=True):
    """What Redis's clock says, and what became of a step that was reported."""

    now: float
    """Seconds since 1970, without the steps that were taken out."""
    steps: int
    """How many steps have ever been taken out."""
    outcome: str
    """`none`, `taken`, `known` (somebody else has taken it out) or `passed` (there was none)."""
    step: float = 0.0
    """Seconds of the step, if this call has taken one out."""


class CheckClock(Call[ClockReading], frozen=True):
    """Read Redis's clock, and report that it was set by `step` seconds, unless that is 0."""

    script: ClassVar[str] = "clock"

    step: float = 0.0
    steps: int = 0
    """How many steps were known when this one was seen."""

    def arguments(self) -> list[Word]:
        return [milliseconds(self.step), self.steps]

    def read(self, reply: Any) -> ClockReading:
        now, steps, outcome, *taken = reply
        return ClockReading(now / 1000, steps, outcome.decode(), sum(taken) / 1000)
