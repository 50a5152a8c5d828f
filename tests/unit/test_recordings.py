"""Recorded answers of Poe's, from their bytes to what a client gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from contract.messages import (
    Event,
    File,
    Finished,
    Options,
    Reasoning,
    Refusal,
    Replaced,
    Text,
    ToolCallDelta,
    Usage,
    Verbatim,
)
from worker.bot.reader import BotReader
from worker.messages.reader import MessagesReader
from worker.openai.reader import ChatReader
from worker.poe.reader import AnswerReader
from worker.poe.sse import EventDecoder
from worker.responses.reader import ResponsesReader
from worker.shaping import Shaping

STREAMS: dict[str, type[AnswerReader]] = {
    "bot": BotReader,
    "chat": ChatReader,
    "messages": MessagesReader,
    "responses": ResponsesReader,
}
RECORDINGS = sorted((Path(__file__).parents[1] / "recordings").glob("*/*.sse"))


class Outcome(msgspec.Struct, forbid_unknown_fields=True):
    """What a client has at the end; `tests/recordings/README.md` says it field by field."""

    about: str = ""
    thinks: bool = False
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: list[tuple[str, str, str]] = []
    files: list[tuple[str, str, str, str]] = []
    verbatim: list[tuple[str, str]] = []
    usage: tuple[int, int] | None = None
    finish: str | None = None
    fault: str | None = None

    def add(self, event: Event) -> None:
        assert self.finish is None, "something followed the end"
        match event:
            case Text(text):
                self.text += text
            case Replaced(text):
                self.text = text
            case Reasoning(text):
                self.reasoning += text
            case Refusal(text):
                self.refusal += text
            case ToolCallDelta(index, call_id, name, arguments):
                new = index == len(self.tool_calls)
                before = ("", "", "") if new else self.tool_calls[index]
                parts = zip(before, (call_id, name, arguments), strict=True)
                call_id, name, arguments = (old + more for old, more in parts)
                self.tool_calls[index : index + 1] = [(call_id, name, arguments)]
            case File(url, name, media_type, inline_ref):
                self.files.append((url, name, media_type, inline_ref))
            case Verbatim(name, data):
                self.verbatim.append((name, data))
            case Usage(prompt_tokens, completion_tokens):
                self.usage = (prompt_tokens, completion_tokens)
            case Finished(reason):
                self.finish = reason


class Told(Outcome):
    """An outcome as it is written down, where it may have fewer words."""

    as_sent: bool = False
    told: int = 0


def expected(recording: Path) -> Outcome:
    told = msgspec.json.decode(recording.with_suffix(".json").read_bytes(), type=Told)
    fields = {name: getattr(told, name) for name in Outcome.__struct_fields__}
    if told.as_sent or told.told:
        events = EventDecoder().feed(recording.read_bytes())
        sent = [(event.name, event.data.decode()) for event in events if event.name != "ping"]
        fields["verbatim"] = sent[: None if told.as_sent else told.told]
    return Outcome(**fields)


def replay(recording: Path, pieces: list[bytes], *, thinks: bool) -> Outcome:
    decoder, stream = EventDecoder(), STREAMS[recording.parent.name]()
    is_native = isinstance(stream, MessagesReader)
    shaped = Shaping(Options(), emulate_tools=False, thinks=thinks)
    shaping = Shaping.none() if is_native else shaped
    seen = Outcome()
    events: list[Event] = []
    for piece in pieces:
        events += shaping.feed(stream.feed(decoder.feed(piece)))
    events += shaping.feed(stream.feed(decoder.close()))
    if not stream.is_over:
        events += shaping.feed(stream.end())
    if stream.fault is not None:
        events += shaping.flush()
        seen.fault = stream.fault.kind.name
    for event in events:
        seen.add(event)
    return seen


def by_name(recording: Path) -> Any:
    return pytest.param(recording, id=f"{recording.parent.name}-{recording.stem}")


@pytest.mark.parametrize("recording", [by_name(each) for each in RECORDINGS])
def test_a_recording_means_the_same_wherever_the_network_cuts_it(recording: Path) -> None:
    body, wanted = recording.read_bytes(), expected(recording)
    wanted.about, thinks, wanted.thinks = "", wanted.thinks, False

    assert replay(recording, [body], thinks=thinks) == wanted
    bytes_alone = [body[place : place + 1] for place in range(len(body))]
    assert replay(recording, bytes_alone, thinks=thinks) == wanted
    for place in range(1, len(body)):
        seen = replay(recording, [body[:place], body[place:]], thinks=thinks)
        assert seen == wanted, place


def test_there_are_recordings_of_all_kinds_each_with_one_end() -> None:
    assert {recording.parent.name for recording in RECORDINGS} == STREAMS.keys()
    for recording in RECORDINGS:
        wanted = expected(recording)
        assert wanted.about
        assert (wanted.finish is None) is not (wanted.fault is None), recording
