"""Messages as a stream: an answer's events become those of Anthropic's API.

    message_start
      content_block_start, content_block_delta …, content_block_stop      for each block
    message_delta
    message_stop

One block is open at a time. The events of an upstream that speaks the same API pass as they came.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from contract.messages import Event, Finished, Verbatim
from gateway.anthropic import errors
from gateway.anthropic.events import compact, deltas, event
from gateway.anthropic.message import Usage, ending_of, message_of, tool_use
from gateway.anthropic.request import MessagesAsk
from gateway.anthropic.thinking import UNSIGNED
from gateway.dialect import Frame, Head
from gateway.problems import Problem
from gateway.render.ordered import OrderedAnswer
from gateway.render.tool_calls import Call

_START = "message_start"
_EMPTY = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}

_Kind = Literal["text", "thinking"]


class MessageEncoder:
    """Renders one answer as the events of one message."""

    def __init__(self, head: Head, ask: MessagesAsk) -> None:
        self._head = head
        self._usage = Usage(head)
        is_told = ask.shows_thoughts or head.reasoning == "inline"
        self._answer = OrderedAnswer(head.reasoning if is_told else "drop", head.job)
        self._has_begun = False
        self._is_verbatim = False
        self._finished = Finished()
        self._refused = False
        self._index = -1
        """That of the last block."""
        self._open: _Kind | Call | None = None
        self._behind: list[tuple[_Kind, str]] = []
        """What has come amid a call, and goes behind it."""
        self._out: list[Frame] = []

    def begin(self) -> list[Frame]:
        """Return the event that comes before all others, unless the upstream has told it."""
        self._has_begun = True
        if self._is_verbatim:
            return []
        return [event(_START, message=message_of(self._head, self._usage.at_start()))]

    def feed(self, choice: int, events: Sequence[Event]) -> list[Frame]:  # noqa: ARG002
        """Return the events that those of one record add. There is one choice."""
        for each in events:
            self._usage.observe(each)
            if isinstance(each, Verbatim):
                self._is_verbatim = True
                self._out.append(self._as_it_came(each))
        if not self._is_verbatim:
            self._answer.feed(events, self)
        out, self._out = self._out, []
        self._has_begun = self._has_begun or bool(out)
        return out

    def end(self, problem: Problem | None) -> list[Frame]:
        """Return what ends a stream."""
        if problem is not None:
            return [Frame(errors.body(problem, self._head.request), "error")]
        if self._is_verbatim:
            return []
        opening = [] if self._has_begun else self.begin()
        calls = bool(len(self._answer.calls))
        delta = ending_of(self._finished, calls=calls, refused=self._refused)
        last = event("message_delta", delta=delta, usage=self._usage.shown())
        return [*opening, last, event("message_stop")]

    def text(self, text: str) -> None:
        self._extend("text", text)

    def thought(self, text: str) -> None:
        self._extend("thinking", text)

    def refusal(self, text: str) -> None:
        self._refused = True
        self._extend("text", text)

    def call(self, call: Call) -> None:
        self._close_all()
        self._begin(call, tool_use(call.id, call.name, {}))
        self._out += deltas("input_json", self._index, "")

    def arguments(self, call: Call, text: str) -> None:
        if call is not self._open:
            # A block that is closed cannot be opened again, and half a call must not be run.
            raise ValueError("the arguments of a call came behind another call")
        self._out += deltas("input_json", self._index, text)

    def finish(self, finished: Finished) -> None:
        self._close_all()
        self._finished = finished

    def _extend(self, kind: _Kind, text: str) -> None:
        if isinstance(self._open, Call):
            self._behind.append((kind, text))
            return
        if self._open != kind:
            self._close_all()
            self._begin(kind, _EMPTY[kind])
        self._out += deltas(kind, self._index, text)

    def _begin(self, opened: _Kind | Call, block: Mapping[str, Any]) -> None:
        self._open = opened
        self._index += 1
        self._out.append(event("content_block_start", index=self._index, content_block=block))

    def _close_all(self) -> None:
        while self._open is not None:
            self._close()

    def _close(self) -> None:
        """End the block that is open, and begin what has waited for that."""
        if self._open == "thinking":
            self._out += deltas("signature", self._index, UNSIGNED)
        self._out.append(event("content_block_stop", index=self._index))
        self._open = None
        behind, self._behind = self._behind, []
        for kind, text in behind:
            self._extend(kind, text)

    def _as_it_came(self, told: Verbatim) -> Frame:
        if told.name != _START:
            return Frame(told.data, told.name)
        # The client knows the model by its own name.
        start = json.loads(told.data)
        start["message"]["model"] = self._head.model
        return Frame(compact(start), told.name)
