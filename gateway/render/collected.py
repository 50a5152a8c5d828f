"""One choice of an answer, collected whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from contract.messages import (
    Event,
    File,
    Finished,
    Reasoning,
    Refusal,
    Replaced,
    Text,
    ToolCallDelta,
)
from gateway.render.file_links import FileLinks
from gateway.render.tool_calls import ToolCalls


@dataclass
class WholeCall:
    """One tool call."""

    id: str
    name: str
    fragments: list[str] = field(default_factory=list)

    @property
    def arguments(self) -> str:
        """JSON; `{}` where the model gave none."""
        return "".join(self.fragments) or "{}"


class CollectedChoice:
    """Collects the events of one choice. `answer` makes the names of its tool calls unique."""

    def __init__(self, answer: str) -> None:
        self.files: list[File] = []
        self.calls: list[WholeCall] = []
        self.finished = Finished()
        self._numbering = ToolCalls(answer)
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._refusal: list[str] = []

    def feed(self, events: Iterable[Event]) -> None:
        """Take the events of one record."""
        for event in events:
            self._take(event)

    @property
    def thoughts(self) -> str:
        return "".join(self._thoughts)

    @property
    def refusal(self) -> str:
        return "".join(self._refusal)

    def content(self) -> str:
        """Return the text, with the files that it does not show at its end."""
        files = FileLinks()
        for file in self.files:
            files.add(file)
        text = files.resolve("".join(self._text))
        return text + files.close(text)

    def _take(self, event: Event) -> None:
        match event:
            case Text():
                self._text.append(event.text)
            case Replaced():
                self._text = [event.text]
            case Reasoning():
                self._thoughts.append(event.text)
            case ToolCallDelta():
                self._call(event)
            case Refusal():
                self._refusal.append(event.text)
            case File():
                self.files.append(event)
            case Finished():
                self.finished = event

    def _call(self, delta: ToolCallDelta) -> None:
        call, is_new = self._numbering.take(delta)
        if is_new:
            self.calls.append(WholeCall(call.id, call.name))
        self.calls[call.index].fragments.append(delta.arguments)
