"""The stages of shaping, in order; a request has only those that it needs.

    events ─► thoughts ─► tool calls ─► stop ─► max_tokens ─► JSON ─► events

A stage takes one event and returns those that it becomes. The first `Finished` that a stage returns
ends the answer for all stages behind it. Before that, a stage may ask for a check, which its caller
makes: the answer waits for the verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Protocol

from contract.messages import Event, Finished, Options, Text, Verbatim, is_terminal
from worker.shaping.checks import Ask, Check, Verdict, judge
from worker.shaping.emulation import ToolEmulation, new_call_id
from worker.shaping.limits import StopSequences, TokenLimit
from worker.shaping.mismatch import Mismatch
from worker.shaping.reasoning import ThoughtSplitter
from worker.shaping.streamed_json import JsonStream
from worker.shaping.strict import StrictCalls
from worker.shaping.structured import JsonAnswer

Steps = Generator[Check, Verdict, list[Event]]
"""The shaping of some events: yields checks, and is sent their verdicts."""

_UNCHANGED = frozenset({Text, Verbatim})
"""What passes once it is clear which text is the answer's."""


class Stage(Protocol):
    """One step of the shaping, for one attempt."""

    def take(self, event: Event) -> list[Event] | Ask:
        """Return what becomes of the event. Raises Mismatch, and asks, only at the answer's end."""

    def flush(self) -> list[Event]:
        """Return what is held back, because nothing follows."""


class Shaping:
    """Shapes the events of one attempt.

    `options` are the client's own, limits that the upstream keeps left out: its `max_tokens` is
    enforced here if it is not None. `thinks` tells whether a bare `Thinking...` is
    taken for what it seems. `streams_json`: an object is sent as it comes, and checked at its end.
    A Mismatch comes before anything of the answer was returned if a tool must be called, or the
    answer must be JSON and is not streamed; otherwise text may have been.
    """

    def __init__(
        self,
        options: Options,
        *,
        emulate_tools: bool,
        thinks: bool,
        streams_json: bool = False,
        new_id: Callable[[], str] = new_call_id,
    ) -> None:
        self._over = False
        # Who must answer in JSON writes of thinking only to think.
        thoughts = ThoughtSplitter(thinks=thinks or options.format is not None)
        self._thoughts: ThoughtSplitter | None = thoughts
        self._stages: list[Stage] = [thoughts]
        if emulate_tools:
            self._stages.append(ToolEmulation(options, new_id))
        elif any(tool.strict for tool in options.tools):
            self._stages.append(StrictCalls(options))
        if any(options.stop):
            self._stages.append(StopSequences(options.stop))
        if options.max_tokens is not None:
            self._stages.append(TokenLimit(options.max_tokens))
        if options.format is not None:
            self._stages.append((JsonStream if streams_json else JsonAnswer)(options.format))

    @classmethod
    def none(cls) -> Shaping:
        """Return what leaves an answer as it is."""
        shaping = cls(Options(), emulate_tools=False, thinks=False)
        shaping._thoughts, shaping._stages = None, []
        return shaping

    def feed(self, events: Iterable[Event]) -> list[Event]:
        """Shape the events, and make all checks here and now; otherwise as `shape`."""
        shaping = self.shape(events)
        try:
            check = next(shaping)
            while True:
                check = shaping.send(judge(check))
        except StopIteration as done:
            shaped: list[Event] = done.value
            return shaped

    def shape(self, events: Iterable[Event]) -> Steps:
        """Return what the client gets of these events; nothing after a terminal one.

        Yields the checks that it waits for, and is to be sent their verdicts. Raises Mismatch at
        the answer's end; what these events have given before is `due` in it.
        """
        if self._over:
            return []
        batch = list(events)
        if self.passes(batch):
            return batch
        shaped: list[Event] = []
        # One by one: how the network has cut the answer must not tell which stage ends it.
        for event in batch:
            try:
                shaped += yield from self._shaped(event)
            except Mismatch as mismatch:
                self._over = True
                mismatch.due = [*shaped, *mismatch.due]
                raise
            if shaped and is_terminal(shaped[-1]):
                self._over = True
                break
        return shaped

    def passes(self, events: Sequence[Event]) -> bool:
        """Return whether the client gets these events as they are, with nothing to be noted."""
        if self._over or len(self._stages) > 1:
            return False
        if self._thoughts is not None and not self._thoughts.is_settled:
            return False
        return _UNCHANGED.issuperset(map(type, events))

    def flush(self) -> list[Event]:
        """Return what was held back, for an attempt that fails after output."""
        if self._over:
            return []
        self._over = True
        return _drained([], self._stages)

    def _shaped(self, event: Event) -> Generator[Check, Verdict, list[Event]]:
        batch = [event]
        for position, stage in enumerate(self._stages):
            given, batch = batch, []
            try:
                yield from _through(stage, given, batch)
            except Mismatch as mismatch:
                mismatch.due = _drained([*batch, *mismatch.due], self._stages[position + 1 :])
                raise
        return batch


def _through(
    stage: Stage, events: Iterable[Event], batch: list[Event]
) -> Generator[Check, Verdict, None]:
    """Add what becomes of the events in one stage to the batch, up to the first terminal one."""
    for event in events:
        taken = stage.take(event)
        batch += taken.then((yield taken.check)) if isinstance(taken, Ask) else taken
        if batch and is_terminal(batch[-1]):
            break


def _drained(batch: list[Event], stages: Sequence[Stage]) -> list[Event]:
    """Return what these stages give of the batch and of what they hold, without an end."""
    for stage in stages:
        given, batch = batch, []
        # What would have to be checked first is no part of an answer that has failed.
        next(_through(stage, given, batch), None)
        batch = [event for event in (*batch, *stage.flush()) if not isinstance(event, Finished)]
    return batch
