"""Recorded answers of Poe's, cut at every byte, as messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from contract.messages import Event, Options
from tests.support.anthropic_wire import check
from tests.unit.gateway_anthropic.rendering import INTERRUPTED, streamed, whole
from tests.unit.test_recordings import RECORDINGS, STREAMS, by_name, expected
from worker.poe.sse import EventDecoder
from worker.shaping import Shaping

CUT_EVERYWHERE = ("reasoning-content", "taken-back", "text", "tool-calls")
"""Those that are also cut once at each byte; all others come byte by byte."""


def message_of(recording: Path, pieces: list[bytes], *, thinks: bool) -> Any:
    """Return the message, or what was told before an error; and all events of one as it came."""
    decoder, stream = EventDecoder(), STREAMS[recording.parent.name]()
    is_native = recording.parent.name == "messages"
    shaped = Shaping(Options(), emulate_tools=False, thinks=thinks)
    shaping = Shaping.none() if is_native else shaped
    records: list[list[Event]] = [
        shaping.feed(stream.feed(decoder.feed(piece))) for piece in pieces
    ]
    records.append(shaping.feed(stream.feed(decoder.close())))
    if not stream.is_over:
        records.append(shaping.feed(stream.end()))
    if stream.fault is None:
        told = streamed(records)
        return (told, whole(records)) if is_native else check(told)
    *told, last = streamed([*records, [*shaping.flush(), INTERRUPTED]], failed=INTERRUPTED)
    assert last["type"] == "error"
    return _deltas(told)


def _deltas(events: list[dict[str, Any]]) -> dict[tuple[int, str], str]:
    told: dict[tuple[int, str], str] = {}
    for event in events:
        if event["type"] == "content_block_delta":
            kind, *text = event["delta"].values()
            place = (event["index"], kind)
            told[place] = told.get(place, "") + text[0]
    return told


@pytest.mark.parametrize("recording", [by_name(each) for each in RECORDINGS])
def test_a_recording_is_the_same_message_wherever_the_network_cuts_it(recording: Path) -> None:
    body, thinks = recording.read_bytes(), expected(recording).thinks
    message = message_of(recording, [body], thinks=thinks)

    bytes_alone = [body[place : place + 1] for place in range(len(body))]
    assert message_of(recording, bytes_alone, thinks=thinks) == message
    for place in range(1, len(body) if recording.stem in CUT_EVERYWHERE else 1):
        cut = [body[:place], body[place:]]
        assert message_of(recording, cut, thinks=thinks) == message, place
