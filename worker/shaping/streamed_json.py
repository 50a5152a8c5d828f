"""An answer that must be one JSON object, sent as it comes: the upstream holds the model to it.

What the client has seen cannot be taken back, so an object that does not match at its end is
followed by a refusal. Only an answer that does not begin as an object is held, as `JsonAnswer`
holds all, and may be asked for once more.
"""

from __future__ import annotations

from contract.messages import Event, Finished, Format, Text
from worker.poe.argument_scanner import ArgumentScanner
from worker.shaping.checks import Ask, IsObject, Verdict
from worker.shaping.mismatch import Mismatch
from worker.shaping.structured import JsonAnswer, is_excused


class JsonStream:
    """The stage that sends an object piece by piece, and nothing that follows it."""

    def __init__(self, wanted: Format) -> None:
        self._wanted = wanted
        self._held: JsonAnswer | None = None
        """Holds an answer that does not begin with an object, or has not begun."""
        self._sent: list[str] = []
        self._object = ArgumentScanner()
        self._is_excused = False

    def take(self, event: Event) -> list[Event] | Ask:
        match event:
            case Text(text):
                return self._take(text)
            case Finished(reason):
                is_due = reason == "stop" and not self._is_excused
                if self._sent and is_due:
                    return self._asking(event)
                held = self._held or JsonAnswer(self._wanted)
                return held.take(event) if is_due else [*held.flush(), event]
            case _:
                self._is_excused = self._is_excused or is_excused(event)
                return [event]

    def flush(self) -> list[Event]:
        return self._held.flush() if self._held else []

    def _take(self, text: str) -> list[Event]:
        if not self._sent:
            text = text if self._held else text.lstrip()
            if text and not self._held and not text.startswith("{"):
                self._held = JsonAnswer(self._wanted)
            if self._held:
                self._held.take(Text(text))
                return []
        if not text or self._object.is_whole:
            return []
        self._object.add(text)
        text = text.removesuffix(self._object.beyond)
        self._sent.append(text)
        return [Text(text)]

    def _asking(self, end: Finished) -> Ask:
        answer = "".join(self._sent)

        def then(verdict: Verdict) -> list[Event]:
            if verdict.fault:
                # Without a schema, whoever parses it sees what was paid for.
                is_refused = self._wanted.schema is not None
                raise Mismatch(verdict.fault, answer, is_refused=is_refused)
            return [end]

        return Ask(IsObject(answer, self._wanted), then)
