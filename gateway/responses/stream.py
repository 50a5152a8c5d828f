"""Responses as a stream: an answer's events become those of OpenAI's API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

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
from gateway.dialect import Frame, Head
from gateway.problems import Problem
from gateway.render.answer_text import AnswerText
from gateway.render.tool_calls import ToolCalls
from gateway.responses.events import Deltas, Numbering
from gateway.responses.output import Call, Item, Message, Part, Thoughts
from gateway.responses.request import ResponsesAsk
from gateway.responses.response import Usage, ending_of, response_of

THINK, THOUGHT = "<think>\n", "\n</think>\n\n"
"""What thoughts stand between, where the operator wants them within the text."""

_OPENING = ("response.created", "response.in_progress")


class ResponseEncoder:
    """Renders one answer as the events of one response."""

    def __init__(self, head: Head, ask: ResponsesAsk) -> None:
        self._head = head
        self._ask = ask
        self._usage = Usage(head)
        # `begin` is called behind the first `feed`, but its events come first.
        self._numbering = Numbering(len(_OPENING))
        self._has_begun = False
        self._finished = Finished()
        self._items: list[Item] = []
        self._text = AnswerText()
        self._calls = ToolCalls(head.job)
        self._open_calls: dict[int, Call] = {}
        self._message: Message | None = None
        self._thoughts: Thoughts | None = None
        self._thinks = False
        self._out: list[Frame] = []
        # Text of one kind that follows text of the same kind goes into the same delta.
        self._run: list[str] = []
        self._run_of: Thoughts | Part | Call | None = None

    def begin(self) -> list[Frame]:
        """Return the events that come before all others."""
        self._has_begun = True
        first = Numbering()
        members = f'"response":{response_of(self._head, self._ask, "in_progress")}'
        return [first.raw(event, members) for event in _OPENING]

    def feed(self, choice: int, events: Sequence[Event]) -> list[Frame]:  # noqa: ARG002
        """Return the events that those of one record add. There is one choice."""
        for event in events:
            self._usage.observe(event)
            self._render(event)
        self._end_run()
        out, self._out = self._out, []
        self._has_begun = self._has_begun or bool(out)
        return out

    def end(self, problem: Problem | None) -> list[Frame]:
        """Return the one event that ends a stream: completed, incomplete or failed."""
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
            "failed" if problem else ending_of(reason),
            [_settled(item.shown()) for item in self._items],
            usage=self._usage,
            reason=reason,
            problem=problem,
        )

    def _render(self, event: Event) -> None:
        match event:
            case Text():
                self._say(self._text.append(event.text))
            case Reasoning():
                self._think(event.text)
            case Replaced():
                self._say(self._text.replace(event.text))
            case ToolCallDelta():
                self._call(event)
            case Refusal():
                self._extend(self._part("refusal"), event.text)
            case File():
                self._text.add(event)
            case Finished():
                self._finish(event)
            case Failed():
                self._end_text()

    def _say(self, text: str) -> None:
        if not text:
            return
        if self._thinks:
            self._thinks = False
            text = THOUGHT + text
        self._extend(self._part("output_text"), text)

    def _think(self, text: str) -> None:
        if self._head.reasoning == "inline" and text:
            self._extend(self._part("output_text"), text if self._thinks else THINK + text)
            self._thinks = True
        elif self._head.reasoning == "separate" and text:
            if self._thoughts is None:
                self._thoughts = Thoughts(self._id("rs"), len(self._items))
                self._open(self._thoughts)
            self._extend(self._thoughts, text)

    def _part(self, kind: Literal["output_text", "refusal"]) -> Part:
        self._end_thoughts()
        if self._message is None:
            self._message = Message(self._id("msg"), len(self._items))
            self._open(self._message)
        part, events = self._message.part(kind)
        if events:
            self._end_run()
            self._out += map(self._numbering.frame, events)
        return part

    def _call(self, delta: ToolCallDelta) -> None:
        self._end_thoughts()
        told, is_new = self._calls.take(delta)
        if is_new:
            self._open_calls[told.index] = call = self._new_call(told.id, told.name)
            self._open(call)
        self._extend(self._open_calls[told.index], delta.arguments)

    def _new_call(self, call_id: str, flat: str) -> Call:
        is_custom = flat in self._ask.custom
        namespace, name = self._ask.namespaced.get(flat, ("", flat))
        item = self._id("ctc" if is_custom else "fc")
        return Call(item, len(self._items), call_id, name, namespace, custom=is_custom)

    def _open(self, item: Item) -> None:
        self._end_run()
        self._items.append(item)
        self._out += map(self._numbering.frame, item.opening())

    def _extend(self, target: Thoughts | Part | Call, text: str) -> None:
        if not text:
            return
        if target is not self._run_of:
            self._end_run()
            self._run_of = target
        self._run.append(text)

    def _end_run(self) -> None:
        target, text = self._run_of, "".join(self._run)
        self._run_of = None
        self._run.clear()
        if target is None or not text:
            return
        target.text.append(text)
        if not (isinstance(target, Call) and target.is_custom):
            self._tell(target.deltas, text)

    def _tell(self, deltas: Deltas, text: str) -> None:
        self._out += self._numbering.deltas(deltas, text)

    def _end_thoughts(self) -> None:
        if self._thoughts is not None:
            self._end_run()
            self._out += map(self._numbering.frame, self._thoughts.closing("completed"))
            self._thoughts = None

    def _end_text(self) -> None:
        if text := self._text.close():
            self._say(text)
        if self._thinks:
            self._extend(self._part("output_text"), THOUGHT)
            self._thinks = False
        self._end_run()

    def _finish(self, finished: Finished) -> None:
        self._finished = finished
        self._end_text()
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

    def _complete(self, call: Call) -> None:
        """Tell what is due of a call: the input of a custom tool is known only at its end."""
        if call.is_custom:
            self._tell(call.deltas, call.value)
        elif not call.text:
            call.text.append("{}")
            self._tell(call.deltas, "{}")

    def _id(self, prefix: str) -> str:
        return f"{prefix}_{self._head.job}_{len(self._items)}"


def _settled(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item of a response that has ended: one that has not is incomplete."""
    return item | {"status": "incomplete"} if item["status"] == "in_progress" else item
