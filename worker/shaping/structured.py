"""An answer that must be one JSON object.

Models put it into a code fence, or say a word before it. What is sent is the exact text of the
object, as the model wrote it, and nothing else. So nothing is sent, not even thoughts, before the
answer is whole and matches: until then another attempt may take its place. An answer that is no
object though no schema was given is sent in the end: whoever parses it sees what was paid for.
"""

from __future__ import annotations

from contract.messages import Event, Finished, Format, Refusal, Replaced, Text, ToolCallDelta
from worker.shaping.checks import Ask, IsObject, Verdict
from worker.shaping.mismatch import Mismatch


def is_excused(event: Event) -> bool:
    """Return whether no object is due in an answer with this event."""
    return isinstance(event, ToolCallDelta | Refusal)


class JsonAnswer:
    """The stage that lets only the object through.

    An answer that was cut (`Finished` says `length` or `content_filter`) is sent as it is, and so
    is one that calls tools, whose last word is still to come, and one that is a refusal. Asks at
    `Finished`, and may then raise Mismatch.
    """

    def __init__(self, wanted: Format) -> None:
        self._wanted = wanted
        self._text: list[str] = []
        self._beside: list[Event] = []

    def take(self, event: Event) -> list[Event] | Ask:
        match event:
            case Text(text):
                self._text.append(text)
            case Replaced(text):
                self._text = [text]
            case Finished(reason):
                if reason == "stop" and not any(map(is_excused, self._beside)):
                    return self._asking("".join(self._text), event)
                return [*self.flush(), event]
            case _:
                self._beside.append(event)
        return []

    def flush(self) -> list[Event]:
        text = "".join(self._text)
        # Thoughts come before the answer in every dialect, and files have no order.
        events = [*self._beside, Text(text)] if text else self._beside
        self._text, self._beside = [], []
        return events

    def _asking(self, answer: str, end: Finished) -> Ask:
        def then(verdict: Verdict) -> list[Event]:
            if verdict.fault and self._wanted.schema is None:
                raise Mismatch(verdict.fault, answer, self.flush(), is_refused=False)
            if verdict.fault:
                raise Mismatch(verdict.fault, answer, is_final=verdict.is_final)
            self._text = [verdict.text]
            return [*self.flush(), end]

        return Ask(IsObject(answer, self._wanted), then)
