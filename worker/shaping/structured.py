"""An answer that must be one JSON object.

Models put it into a code fence, or say a word before it. What is sent is the exact text of the
object, as the model wrote it, and nothing else. So nothing is sent, not even thoughts, before the
answer is whole and matches: until then another attempt may take its place.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from contract.messages import Event, Finished, Format, Replaced, Text, ToolCallDelta
from contract.schemas import violation
from worker.shaping.mismatch import Mismatch

_MAX_OPENINGS = 200
"""Opening braces at which an object is looked for; prose that has more is no answer."""


class JsonAnswer:
    """The stage that lets only the object through.

    An answer that was cut (`Finished` says `length` or `content_filter`) is sent as it is, and so
    is one that calls tools: its last word is still to come. Raises Mismatch at `Finished`.
    """

    def __init__(self, wanted: Format) -> None:
        self._schema = wanted.schema
        self._text: list[str] = []
        self._beside: list[Event] = []

    def take(self, event: Event) -> list[Event]:
        match event:
            case Text(text):
                self._text.append(text)
            case Replaced(text):
                self._text = [text]
            case Finished(reason):
                if reason == "stop" and not self._has_calls():
                    self._text = [_object_in("".join(self._text), self._schema)]
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

    def _has_calls(self) -> bool:
        return any(isinstance(event, ToolCallDelta) for event in self._beside)


def _object_in(answer: str, schema: dict[str, Any] | None) -> str:
    """Return the text of the one object in the answer."""
    found = _objects(answer)
    if len(found) != 1:
        raise Mismatch(
            "The answer holds several JSON objects, not one."
            if found
            else "The answer is not a JSON object.",
            answer,
        )
    text, value = found[0]
    reason = None if schema is None else violation(schema, value)
    if reason is not None:
        raise Mismatch(f"The answer does not match the JSON schema: {reason}", answer)
    return text


def _objects(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Find the objects that lie in the text, not within one another."""
    found: list[tuple[str, dict[str, Any]]] = []
    start = text.find("{")
    for _ in range(_MAX_OPENINGS):
        if start == -1:
            break
        try:
            value, end = _decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            found.append((text[start:end], value))
        start = text.find("{", end)
    return found


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and Infinity, which Python reads and JSON has not."""
    raise ValueError(constant)


_decoder = json.JSONDecoder(parse_constant=_refuse)
