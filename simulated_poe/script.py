"""The bot Script: the answer is what the question says, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from simulated_poe.ask import Ask
from simulated_poe.failures import FAILURES, as_status
from simulated_poe.steps import Cut, Event, Raw, Sleep, Status, Step, Text


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
    """Play the steps exactly, and add nothing: no `done` either."""
    try:
        lines = msgspec.json.decode(ask.text, type=list[_Line])
    except msgspec.DecodeError as error:
        yield as_status(FAILURES[400], ask.shape, f"Not a script: {error}")
        return
    for line in lines:
        yield _step(line)


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
    # Text that is plain text is one step, so that its characters are counted.
    if name in ("text", "replace_response") and isinstance(data, dict) and list(data) == ["text"]:
        text = data["text"]
        if isinstance(text, str):
            return Text(text, replaces=name == "replace_response")
    return Event(name, data)
