"""Responses in one piece."""

from __future__ import annotations

from collections.abc import Sequence

from contract.messages import Event, File, Replaced, Text
from gateway.dialect import Head
from gateway.responses.request import ResponsesAsk
from gateway.responses.stream import ResponseEncoder


class ResponseCollector:
    """Collects one answer and renders it as one response: that of a stream's last event."""

    def __init__(self, head: Head, ask: ResponsesAsk) -> None:
        self._encoder = ResponseEncoder(head, ask)
        self._events: list[Event] = []

    def feed(self, choice: int, events: Sequence[Event]) -> None:  # noqa: ARG002
        """Take the events of one record. There is one choice."""
        self._events += events

    def body(self) -> bytes:
        """Render the response of an answer that has finished."""
        self._encoder.feed(0, settled(self._events))
        return self._encoder.response().encode("ascii")


def settled(events: Sequence[Event]) -> list[Event]:
    """Return the events without text that was taken back, and with all files at the front.

    One who reads along needs a file to be shown behind the text that was sent before it; one who
    does not can have it in its place.
    """
    last = max((i for i, event in enumerate(events) if isinstance(event, Replaced)), default=-1)
    kept = [
        event
        for i, event in enumerate(events)
        if not isinstance(event, File) and not (i < last and isinstance(event, Text | Replaced))
    ]
    files = [event for event in events if isinstance(event, File)]
    return [*files, *(Text(e.text) if isinstance(e, Replaced) else e for e in kept)]
