"""Brings the answer of one job from the upstream's events to its outbox."""

from __future__ import annotations

from collections.abc import Sequence

from contract.messages import Event, Usage, is_output, is_terminal
from worker.checker import Checker
from worker.emitter import Outbox
from worker.poe.answer import Flow
from worker.policy.run_state import Phase, RunState
from worker.policy.spending import Spending
from worker.shaping import Mismatch, Shaping
from worker.shaping.checks import Check
from worker.shaping.pipeline import Steps


class Delivery:
    """Shapes the answer of a job, and puts it into the job's outbox.

    It moves the run's state forward: to `ANSWERING` with the first output, to `ENDED` with the last
    event.
    """

    def __init__(
        self, outbox: Outbox, state: RunState, checker: Checker, spending: Spending
    ) -> None:
        self.mismatch: Mismatch | None = None
        """Why the last answer was not what was asked for, so that it is asked for once more."""
        self._outbox = outbox
        self._state = state
        self._checker = checker
        self._spending = spending
        self._shaping: Shaping
        self._unchecked: tuple[Steps, Check] | None = None
        """The shaping of the answer's end, and the check for which it waits."""
        self._is_last_try = False

    def begin(self, shaping: Shaping, *, is_last_try: bool) -> None:
        """Make ready for the answer to the next call.

        `is_last_try`: an answer in a wrong form is not asked for again.
        """
        self._shaping = shaping
        self._is_last_try = is_last_try

    def take(self, events: list[Event]) -> Flow:
        """Take what has come; return whether the call is to go on."""
        if self._state.phase is Phase.ANSWERING and self._shaping.passes(events):
            self._outbox.put(events)
            return Flow.WAIT if self._outbox.is_full else Flow.MORE
        for event in events:
            if type(event) is Usage:
                self._spending.count(event)
        steps = self._shaping.shape(events)
        try:
            # Whatever asks for a check asks at the answer's end, which can wait for the verdict.
            self._unchecked = steps, next(steps)
        except StopIteration as done:
            self.put(done.value)
            if self._state.phase is not Phase.ENDED:
                return Flow.WAIT if self._outbox.is_full else Flow.MORE
        except Mismatch as mismatch:
            self._reject(mismatch)
        return Flow.ENOUGH

    async def finish_checks(self) -> None:
        """Check the answer's end, if it waits for that."""
        if self._unchecked is None:
            return
        (steps, check), self._unchecked = self._unchecked, None
        try:
            self.put(await self._checker.finish(steps, check))
        except Mismatch as mismatch:
            self._reject(mismatch)

    def put(self, events: Sequence[Event]) -> None:
        """Send these events to the client."""
        if not events:
            return
        if any(map(is_output, events)):
            self._state.reach(Phase.ANSWERING)
        if any(map(is_terminal, events)):
            self._state.reach(Phase.ENDED)
            self._outbox.cost = self._spending.cost
        self._outbox.put(events)

    def end(self, last: Event) -> None:
        """End the answer with this event, unless it has ended."""
        if self._state.phase is Phase.ENDED:
            return
        held_back = self._shaping.flush() if self._state.phase is Phase.ANSWERING else ()
        self.put([*held_back, last])

    def _reject(self, mismatch: Mismatch) -> None:
        self.mismatch = mismatch
        # An answer in a wrong form gets one more try, if the client has seen nothing of it.
        is_seen = self._state.phase is Phase.ANSWERING
        if is_seen or self._is_last_try or mismatch.is_final:
            self.put(mismatch.end)
