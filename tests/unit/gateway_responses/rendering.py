"""Renders answers as the gateway does, without a gateway."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from contract.messages import Event, Failed, FailureKind
from gateway.dialect import Frame, Head
from gateway.problems import problem_of
from gateway.responses.answer import ResponseCollector
from gateway.responses.request import ResponsesAsk, parse_response
from gateway.responses.stream import ResponseEncoder
from tests.support.responses_wire import events_of


def ask_of(**fields: Any) -> ResponsesAsk:
    return parse_response(json.dumps({"model": "m", "input": "hi"} | fields).encode())


def head(**more: Any) -> Head:
    given = {"job": "1", "created": 1_700_000_000, "model": "m"} | more
    return Head(prompt_tokens=lambda: 7, **given)


def frames_of(
    records: Iterable[Sequence[Event]],
    ask: ResponsesAsk | None = None,
    failed: Failed | None = None,
    **more: Any,
) -> list[Frame]:
    """A stream, as the exchange asks the encoder for it."""
    encoder = ResponseEncoder(head(**more), ask or ask_of())
    frames: list[Frame] = []
    begun = False
    for record in records:
        added = encoder.feed(0, record)
        if added and not begun:
            begun = True
            frames += encoder.begin()
        frames += added
    return frames + encoder.end(problem_of(failed) if failed else None)


def decoded(frames: Iterable[Frame]) -> list[dict[str, Any]]:
    return events_of("".join(f"event: {f.event}\ndata: {f.data}\n\n" for f in frames))


def streamed(*records: Any, **more: Any) -> list[dict[str, Any]]:
    """The events of a stream."""
    return decoded(frames_of(*records, **more))


def whole(
    records: Iterable[Sequence[Event]], ask: ResponsesAsk | None = None, **more: Any
) -> dict[str, Any]:
    collector = ResponseCollector(head(**more), ask or ask_of())
    for record in records:
        collector.feed(0, record)
    body: dict[str, Any] = json.loads(collector.body())
    return body


INTERRUPTED = Failed(FailureKind.INTERRUPTED, "The worker died.", charged=True)
