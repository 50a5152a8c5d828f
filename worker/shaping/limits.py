"""Ends an answer where the client wants: at stop sequences, or after a number of tokens."""

from __future__ import annotations

from contract.messages import Event, Finished, Reasoning, Replaced, Text, ToolCallDelta
from contract.token_estimate import TokenCounter
from worker.shaping.automaton import Automaton


class StopSequences:
    """The stage that ends the answer before the first stop sequence.

    First is the one that is complete first, which does not depend on how the text is cut. Only
    text is searched, neither thoughts nor tool calls. What may begin a sequence waits: at most
    one character less than the longest has.
    """

    def __init__(self, sequences: tuple[str, ...]) -> None:
        self._automaton = Automaton(filter(None, sequences))
        self._held = ""

    def take(self, event: Event) -> list[Event]:
        match event:
            case Text(text):
                shown, stop = self._search(text)
                events: list[Event] = [Text(shown)] if shown else []
            case Replaced(text):
                self._forget()
                shown, stop = self._search(text)
                events = [Replaced(shown)]
            case Finished():
                return [*self.flush(), event]
            case _:
                return [event]
        return [*events, Finished("stop", stop)] if stop else events

    def flush(self) -> list[Event]:
        held = self._forget()
        return [Text(held)] if held else []

    def _search(self, text: str) -> tuple[str, str]:
        """Return what more of the text may be shown, and the sequence that ends it, if one does."""
        found = self._automaton.find(text)
        whole = self._held + text
        if found:
            begin, end = (len(self._held) + at for at in found)
            self._forget()
            return whole[:begin], whole[begin:end]
        end = len(whole) - self._automaton.begun
        self._held = whole[end:]
        return whole[:end], ""

    def _forget(self) -> str:
        self._automaton.reset()
        held, self._held = self._held, ""
        return held


class TokenLimit:
    """The stage that ends the answer after `limit` tokens, by the estimate that `usage` is based
    on.

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
        fits = counter.fitting(text, self._limit - beside.tokens)
        counter.add(text)
        return fits


def _ended(last: Text | Reasoning) -> list[Event]:
    return [last, Finished("length")] if last.text else [Finished("length")]
