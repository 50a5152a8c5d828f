"""Renders answers as the gateway does, without a gateway."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from contract.messages import Event, Failed, FailureKind
from gateway.anthropic.answer import MessageCollector
from gateway.anthropic.request import MessagesAsk, parse_message
from gateway.anthropic.stream import MessageEncoder
from gateway.dialect import Frame, Head
from gateway.problems import problem_of
from tests.support.anthropic_wire import events_of

THINKING = {"thinking": {"type": "adaptive"}}
INTERRUPTED = Failed(FailureKind.INTERRUPTED, "The worker died.", charged=True)


def body_of(**fields: Any) -> bytes:
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    return json.dumps(asked | fields).encode()


def ask_of(**fields: Any) -> MessagesAsk:
    return parse_message(body_of(**fields))


def head(**more: Any) -> Head:
    given = {"job": "1", "created": 1_700_000_000, "model": "m", "request": "req_1"} | more
    return Head(prompt_tokens=lambda: 7, **given)


def frames_of(
    records: Iterable[Sequence[Event]],
    ask: MessagesAsk | None = None,
    failed: Failed | None = None,
    **more: Any,
) -> list[Frame]:
    """A stream, as the exchange asks the encoder for it."""
    encoder = MessageEncoder(head(**more), ask or ask_of(**THINKING))
    frames: list[Frame] = []
    begun = False
    for record in records:
        added = encoder.feed(0, record)
        if added and not begun:
            begun = True
            frames += encoder.begin()
        frames += added
    return frames + encoder.end(problem_of(failed) if failed else None)


def text_of(frames: Iterable[Frame]) -> str:
    return "".join(f"event: {frame.event}\ndata: {frame.data}\n\n" for frame in frames)


def streamed(*records: Any, **more: Any) -> list[dict[str, Any]]:
    """The events of a stream."""
    return events_of(text_of(frames_of(*records, **more)))


def whole(
    records: Iterable[Sequence[Event]], ask: MessagesAsk | None = None, **more: Any
) -> dict[str, Any]:
    collector = MessageCollector(head(**more), ask or ask_of(**THINKING))
    for record in records:
        collector.feed(0, record)
    body: dict[str, Any] = json.loads(collector.body())
    return body
