"""In which order a client that can only append is sent one choice of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from contract.config import ReasoningMode
from contract.messages import (
    Event,
    Failed,
    File,
    Finished,
    Reasoning,
    Refusal,
    Replaced,
    Text,
    ToolCallDelta,
)
from gateway.render.answer_text import AnswerText
from gateway.render.tool_calls import Call, ToolCalls

THINK, THOUGHT = "<think>\n", "\n</think>\n\n"
"""How most clients expect thoughts within a text."""

_Run = Literal["text", "thought"] | Call
"""What pieces of text belong to."""


class Rendering(Protocol):
    """Renders the pieces of one choice, none of which is empty."""

    def text(self, text: str) -> None:
        """Continue the text."""
        ...

    def thought(self, text: str) -> None:
        """Continue the thoughts, where they go beside the text."""
        ...

    def refusal(self, text: str) -> None:
        """Take the refusal, before which all text has come."""
        ...

    def call(self, call: Call) -> None:
        """Begin a tool call."""
        ...

    def arguments(self, call: Call, text: str) -> None:
        """Continue the arguments of a tool call that has begun."""
        ...

    def finish(self, finished: Finished) -> None:
        """End the choice, of which everything has come."""
        ...


class OrderedAnswer:
    """Orders the events of one choice.

    Pieces of one kind that follow each other are one piece. Where `reasoning` is "inline", thoughts
    are text between tags; where it is "drop", they are left out. Replaced text and files become
    text to append.
    """

    def __init__(self, reasoning: ReasoningMode, answer: str) -> None:
        """`answer` makes the names of its tool calls unique."""
        self.calls = ToolCalls(answer)
        self._reasoning = reasoning
        self._text = AnswerText()
        self._thinks = False  # within the text
        self._run: list[str] = []
        self._run_of: _Run = "text"

    def feed(self, events: Sequence[Event], to: Rendering) -> None:
        """Give `to` what the events of one record add."""
        for event in events:
            self._take(event, to)
        self._end_run(to)

    def _take(self, event: Event, to: Rendering) -> None:
        match event:
            case Text():
                self._say(self._text.append(event.text), to)
            case Reasoning():
                self._think(event.text, to)
            case Replaced():
                self._say(self._text.replace(event.text), to)
            case ToolCallDelta():
                self._call(event, to)
            case Refusal():
                self._end_text(to)
                to.refusal(event.text)
            case File():
                self._text.add(event)
            case Finished():
                self._end_text(to)
                to.finish(event)
            case Failed():
                self._end_text(to)

    def _say(self, text: str, to: Rendering) -> None:
        if text and self._thinks:
            self._thinks = False
            text = THOUGHT + text
        self._extend("text", text, to)

    def _think(self, text: str, to: Rendering) -> None:
        if self._reasoning == "separate":
            self._extend("thought", text, to)
        elif self._reasoning == "inline" and text:
            self._extend("text", text if self._thinks else THINK + text, to)
            self._thinks = True

    def _call(self, delta: ToolCallDelta, to: Rendering) -> None:
        call, is_new = self.calls.take(delta)
        if is_new:
            self._end_run(to)
            to.call(call)
        self._extend(call, delta.arguments, to)

    def _extend(self, run: _Run, text: str, to: Rendering) -> None:
        if not text:
            return
        if run != self._run_of:
            self._end_run(to)
            self._run_of = run
        self._run.append(text)

    def _end_run(self, to: Rendering) -> None:
        if not self._run:
            return
        text = "".join(self._run)
        self._run.clear()
        match self._run_of:
            case "text":
                to.text(text)
            case "thought":
                to.thought(text)
            case call:
                to.arguments(call, text)

    def _end_text(self, to: Rendering) -> None:
        rest = self._text.close()
        if self._thinks:
            self._thinks = False
            rest = THOUGHT + rest
        self._extend("text", rest, to)
        self._end_run(to)
