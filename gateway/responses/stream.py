"""Responses as a stream: an answer's events become those of OpenAI's API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from contract.messages import Event, Finished
from gateway.dialect import Frame, Head
from gateway.problems import Problem
from gateway.render import tool_calls
from gateway.render.ordered import OrderedAnswer
from gateway.responses.events import Deltas, Numbering
from gateway.responses.output import Call, Item, Message, Part, Thoughts
from gateway.responses.request import ResponsesAsk
from gateway.responses.response import Status, Usage, ending_of, response_of

_OPENING: tuple[tuple[str, Status], ...] = (
    ("response.created", "in_progress"),
    ("response.in_progress", "in_progress"),
)
_OPENING_IN_BACKGROUND: tuple[tuple[str, Status], ...] = (
    ("response.created", "queued"),
    ("response.queued", "queued"),
    ("response.in_progress", "in_progress"),
)
"""The first events, each with the status that its response has."""


class ResponseEncoder:
    """Renders one answer as the events of one response."""

    def __init__(self, head: Head, ask: ResponsesAsk) -> None:
        self._head = head
        self._ask = ask
        self._usage = Usage(head)
        # `begin` is called behind the first `feed`, but its events come first.
        self._opening = _OPENING_IN_BACKGROUND if ask.in_background else _OPENING
        self._numbering = Numbering(len(self._opening))
        self._has_begun = False
        self._finished = Finished()
        self._items: list[Item] = []
        self._answer = OrderedAnswer(head.reasoning, head.job)
        self._calls: dict[int, Call] = {}
        self._message: Message | None = None
        self._thoughts: Thoughts | None = None
        self._out: list[Frame] = []

    def begin(self) -> list[Frame]:
        """Return the events that come before all others."""
        self._has_begun = True
        first = Numbering()
        return [
            first.raw(event, f'"response":{response_of(self._head, self._ask, status)}')
            for event, status in self._opening
        ]

    def feed(self, choice: int, events: Sequence[Event]) -> list[Frame]:  # noqa: ARG002
        """Return the events that those of one record add. There is one choice."""
        for event in events:
            self._usage.observe(event)
        self._answer.feed(events, self)
        out, self._out = self._out, []
        self._has_begun = self._has_begun or bool(out)
        return out

    def still(self) -> list[Frame]:
        """Return the response as it is, which is an event that every client knows.

        OpenAI sends a `keepalive` that is in no schema, and at which some clients fail. The number
        is that of the event before: this one is no part of the response.
        """
        output = [_so_far(item) for item in self._items]
        members = f'"response":{response_of(self._head, self._ask, "in_progress", output)}'
        return [Numbering(self._numbering.last).raw("response.in_progress", members)]

    def end(self, problem: Problem | None) -> list[Frame]:
        """Return the one event that ends a stream: completed, incomplete or failed.

        OpenAI has no event for a response that was cancelled: it fails, and its status says why.
        """
        opening = [] if self._has_begun else self.begin()
        status = "failed" if problem else ending_of(self._finished.reason)
        members = f'"response":{self.response(problem)}'
        return [*opening, self._numbering.raw(f"response.{status}", members)]

    def response(self, problem: Problem | None = None) -> str:
        """Return the response at its end, as JSON."""
        reason = self._finished.reason
        return response_of(
            self._head,
            self._ask,
            ending_of(reason, problem),
            self.output(),
            usage=self._usage,
            reason=reason,
            problem=problem,
        )

    def so_far(self) -> str:
        """Return the response of an answer that has begun and not ended, as JSON."""
        output = [item.shown() for item in self._items]
        return response_of(self._head, self._ask, "in_progress", output)

    def output(self) -> list[dict[str, Any]]:
        """Return the items at the end."""
        return [_settled(item.shown()) for item in self._items]

    def text(self, text: str) -> None:
        self._extend(self._part("output_text"), text)

    def thought(self, text: str) -> None:
        if self._thoughts is None:
            # What parts them from the thoughts before is no part of a new item.
            text = text.lstrip("\n")
            if not text:
                return
            self._thoughts = Thoughts(self._id("rs"), len(self._items))
            self._open(self._thoughts)
        self._extend(self._thoughts, text)

    def refusal(self, text: str) -> None:
        self._extend(self._part("refusal"), text)

    def call(self, call: tool_calls.Call) -> None:
        self._end_thoughts()
        self._calls[call.index] = item = self._new_call(call.id, call.name)
        self._open(item)

    def arguments(self, call: tool_calls.Call, text: str) -> None:
        self._end_thoughts()
        item = self._calls[call.index]
        item.text.append(text)
        if not item.is_custom:
            self._tell(item.deltas, text)

    def finish(self, finished: Finished) -> None:
        self._finished = finished
        self._end_thoughts()
        if not self._items:
            self._part("output_text")
        status: Literal["completed", "incomplete"] = (
            "completed" if ending_of(finished.reason) == "completed" else "incomplete"
        )
        for item in self._items:
            if isinstance(item, Call):
                self._complete(item)
            if not isinstance(item, Thoughts):
                self._out += map(self._numbering.frame, item.closing(status))

    def _part(self, kind: Literal["output_text", "refusal"]) -> Part:
        self._end_thoughts()
        if self._message is None:
            self._message = Message(self._id("msg"), len(self._items))
            self._open(self._message)
        part, events = self._message.part(kind)
        self._out += map(self._numbering.frame, events)
        return part

    def _new_call(self, call_id: str, flat: str) -> Call:
        is_custom = flat in self._ask.custom
        namespace, name = self._ask.namespaced.get(flat, ("", flat))
        item = self._id("ctc" if is_custom else "fc")
        return Call(item, len(self._items), call_id, name, namespace, custom=is_custom)

    def _open(self, item: Item) -> None:
        self._items.append(item)
        self._out += map(self._numbering.frame, item.opening())

    def _extend(self, target: Thoughts | Part, text: str) -> None:
        target.text.append(text)
        self._tell(target.deltas, text)

    def _tell(self, deltas: Deltas, text: str) -> None:
        self._out += self._numbering.deltas(deltas, text)

    def _end_thoughts(self) -> None:
        if self._thoughts is not None:
            self._out += map(self._numbering.frame, self._thoughts.closing("completed"))
            self._thoughts = None

    def _complete(self, call: Call) -> None:
        """Tell what is due of a call: the input of a custom tool is known only at its end."""
        if call.is_custom:
            self._tell(call.deltas, call.value)
        elif not call.text:
            call.text.append("{}")
            self._tell(call.deltas, "{}")

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._head.job}_{len(self._items)}"


def _so_far(item: Item) -> dict[str, Any]:
    """Return an item as its events have told it: the input of a custom tool comes at the end."""
    return item.opened() if isinstance(item, Call) and item.is_custom else item.shown()


def _settled(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item of a response that has ended: one that has not is incomplete."""
    return item | {"status": "incomplete"} if item["status"] == "in_progress" else item
