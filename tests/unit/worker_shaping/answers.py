"""Feeds answers to the shaping, and reads what comes out as a client would."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, pairwise

from hypothesis import strategies as st

from contract.messages import (
    Event,
    Finished,
    Options,
    Reasoning,
    Replaced,
    Text,
    ToolCallDelta,
)
from worker.shaping import Shaping


@dataclass
class Seen:
    """What a client has at the end."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list)
    end: str = ""


def shaping(
    options: Options | None = None, *, emulate_tools: bool = False, thinks: bool = False
) -> Shaping:
    numbers = count(1)
    return Shaping(
        options or Options(),
        emulate_tools=emulate_tools,
        thinks=thinks,
        new_id=lambda: f"call_{next(numbers)}",
    )


def read(events: list[Event]) -> Seen:
    seen = Seen()
    for event in events:
        assert not seen.end, "something followed the end"
        match event:
            case Text(text):
                assert text
                seen.text += text
            case Replaced(text):
                seen.text = text
            case Reasoning(text):
                assert text
                seen.reasoning += text
            case ToolCallDelta(_, call_id, name, arguments):
                seen.calls.append((call_id, name, arguments))
            case Finished(reason):
                seen.end = reason
    return seen


def pieces_of(text: str, cuts: list[int]) -> list[Event]:
    """The text as `Text` events, cut at these places."""
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [Text(text[start:end]) for start, end in pairwise(places)]


CUTS = st.lists(st.integers(min_value=0, max_value=10_000), max_size=12)
