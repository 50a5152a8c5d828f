"""The bots Script and Emulate, whose answers are given in the question."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from simulated_poe.ask import Ask
from simulated_poe.failures import FAILURES, as_status
from simulated_poe.steps import DONE, META, Cut, Event, Raw, Sleep, Status, Step, Text, pieces


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    event: str | None = None
    data: Any = msgspec.field(default_factory=dict)
    raw: str | None = None
    sleep: float | None = None
    cut: bool = False
    status: int | None = None
    headers: dict[str, str] = {}
    body: Any = ""


def script(ask: Ask) -> Iterator[Step]:
    """Yield exactly the given steps, without even a `done`."""
    try:
        lines = msgspec.json.decode(ask.text, type=list[_Line])
    except msgspec.DecodeError as error:
        yield as_status(FAILURES[400], ask.shape, f"Not a script: {error}")
        return
    for line in lines:
        yield _step(line)


def emulate(ask: Ask) -> Iterator[Step]:
    """Answer with the texts of a JSON list in a user message, one per round.

    This lets a test continue a conversation after text that only a prompted model would write,
    such as an emulated tool call.
    """
    yield META
    texts, rounds = ["No user message holds a JSON list of texts."], 0
    for role, content in ask.messages:
        if role == "user" and (found := _texts_in(content)):
            texts, rounds = found, 0
        rounds += role == "bot"
    yield from pieces(texts[min(rounds, len(texts) - 1)])
    yield DONE


def _texts_in(content: str) -> list[str] | None:
    start = content.find("[")
    while start >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(content, start)
            return msgspec.convert(found, list[str]) or None
        except (ValueError, msgspec.ValidationError):
            start = content.find("[", start + 1)
    return None


def _step(line: _Line) -> Step:
    if line.sleep is not None:
        return Sleep(line.sleep)
    if line.cut:
        return Cut()
    if line.status is not None:
        return Status(line.status, line.body, line.headers)
    if line.raw is not None:
        return Raw(line.raw.encode())
    return _event(line.event or "text", line.data)


def _event(name: str, data: Any) -> Step:
    # Plain text becomes a Text step, so that its characters are counted.
    if name in ("text", "replace_response") and isinstance(data, dict) and list(data) == ["text"]:
        text = data["text"]
        if isinstance(text, str):
            return Text(text, replaces=name == "replace_response")
    return Event(name, data)
