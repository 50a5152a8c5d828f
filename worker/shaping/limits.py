"""The ends that a client has set to an answer: stop sequences, and a number of tokens."""

from __future__ import annotations

from contract.messages import Event, Finished, Reasoning, Replaced, Text, ToolCallDelta
from contract.tokens import TokenCounter
from worker.shaping.reasoning import overlap


class StopSequences:
    """The stage that ends the answer before the first stop sequence.

    First is the one that is complete first, which does not depend on how the text is cut. Only
    text is searched, neither thoughts nor tool calls. What may begin a sequence waits: at most
    one character less than the longest has.
    """

    def __init__(self, sequences: tuple[str, ...]) -> None:
        self._sequences = tuple(filter(None, sequences))
        self._held = ""

    def take(self, event: Event) -> list[Event]:
        match event:
            case Text(text):
                shown, ends = self._search(self._held + text)
                events: list[Event] = [Text(shown)] if shown else []
            case Replaced(text):
                shown, ends = self._search(text)
                events = [Replaced(shown)]
            case Finished():
                return [*self.flush(), event]
            case _:
                return [event]
        return [*events, Finished("stop")] if ends else events

    def flush(self) -> list[Event]:
        held, self._held = self._held, ""
        return [Text(held)] if held else []

    def _search(self, text: str) -> tuple[str, bool]:
        """Return what of the text may be shown, and whether the answer ends there."""
        found = [(start + len(s), start) for s in self._sequences if (start := text.find(s)) >= 0]
        if found:
            self._held = ""
            return text[: min(found)[1]], True
        held = max(overlap(text, sequence) for sequence in self._sequences)
        self._held = text[len(text) - held :]
        return text[: len(text) - held], False


class TokenLimit:
    """The stage that ends the answer after `limit` tokens, by the estimate that usage is told by.

    Thoughts count, and so do tool calls; but once a tool call has begun nothing is cut any more,
    since half a call is of use to nobody.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._answer = TokenCounter()
        self._thoughts = TokenCounter()
        self._calls = False

    def take(self, event: Event) -> list[Event]:
        match event:
            case ToolCallDelta():
                self._calls = True
            case Text(text) if not self._calls:
                fits = self._count(self._answer, text, self._thoughts)
                if fits < len(text):
                    return _ended(Text(text[:fits]))
            case Reasoning(text) if not self._calls:
                fits = self._count(self._thoughts, text, self._answer)
                if fits < len(text):
                    return _ended(Reasoning(text[:fits]))
            case Replaced(text) if not self._calls:
                self._answer = TokenCounter()
                fits = self._count(self._answer, text, self._thoughts)
                if fits < len(text):
                    return [Replaced(text[:fits]), Finished("length")]
        return [event]

    def flush(self) -> list[Event]:
        return []

    def _count(self, counter: TokenCounter, text: str, beside: TokenCounter) -> int:
        """Count the text, and return how many of its characters are within the limit."""
        fits = counter.room(text, self._limit - beside.tokens)
        counter.add(text)
        return fits


def _ended(last: Text | Reasoning) -> list[Event]:
    return [last, Finished("length")] if last.text else [Finished("length")]
