"""Renders an answer as Poe's /v1/responses does: whole, or as a stream of typed events.

As users have seen it, there is no `output_text`, and a stream ends in `data: [DONE]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import orjson

from simulated_poe import failures
from simulated_poe.chat import AnswerText
from simulated_poe.chunks import FRAGMENT, Head
from simulated_poe.responses import Wanted
from simulated_poe.settings import Settings
from simulated_poe.steps import (
    Call,
    Cut,
    End,
    Event,
    Played,
    Raw,
    Sleep,
    Status,
    Step,
    Thought,
)

_NAMES = {
    "message": ("output_text", "content_part", "content_index"),
    "reasoning": ("reasoning_summary_text", "reasoning_summary_part", "summary_index"),
    "function_call": ("function_call_arguments", "", ""),
}
"""What the events of an item's content are called, and those of its parts, and their index."""


def render(
    steps: Iterable[Step], head: Head, wanted: Wanted, settings: Settings
) -> Iterator[Played]:
    """Render a bot's answer in the form that is wanted."""
    answer = _Response(head, wanted)
    return _stream(steps, answer, settings) if wanted.stream else _whole(steps, answer, settings)


class _Response:
    """A response so far, which tells its events."""

    def __init__(self, head: Head, wanted: Wanted) -> None:
        self.output: list[dict[str, Any]] = []
        self.reason = "stop"
        self._head = head
        self._wanted = wanted
        self._text = AnswerText()
        self._thoughts = 0
        self._sequence = 0

    def begin(self) -> Iterator[Raw]:
        for name in ("response.created", "response.in_progress"):
            yield self._event(name, response=self.shown("in_progress"))

    def take(self, step: Step) -> Iterator[Raw]:
        match step:
            case Thought(text):
                self._thoughts += len(text.split())
                if self._wanted.summary:
                    yield from self._say("reasoning", "summary", "summary_text", text)
            case Call(_, identifier, name, arguments):
                yield from self._call(identifier, name, arguments)
            case End(reason):
                self.reason = reason
            case _ if new := self._text.take(step):
                yield from self._say("message", "content", "output_text", new)

    def end(self) -> Iterator[Raw]:
        if new := self._text.finish():
            yield from self._say("message", "content", "output_text", new)
        yield from self._close()
        status = "incomplete" if self.reason == "length" else "completed"
        yield self._event(f"response.{status}", response=self.shown(status))
        yield Raw(b"data: [DONE]\n\n", last=True)

    def fail(self, error: dict[str, Any]) -> Raw:
        response = self.shown("failed") | {"error": error}
        failed = self._event("response.failed", response=response)
        return msgspec.structs.replace(failed, last=True, failed=True)

    def shown(self, status: str) -> dict[str, Any]:
        incomplete = {"reason": "max_output_tokens"} if status == "incomplete" else None
        return {
            "id": self._head.id,
            "object": "response",
            "created_at": self._head.created,
            "status": status,
            "error": None,
            "incomplete_details": incomplete,
            "instructions": None,
            "model": self._head.model,
            "output": self.output if status != "in_progress" else [],
            "usage": self._usage() if status != "in_progress" else None,
        }

    def _usage(self) -> dict[str, Any]:
        words = self._thoughts + sum(len(_text_of(item).split()) for item in self.output)
        prompt = self._head.prompt_tokens
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": words,
            "output_tokens_details": {"reasoning_tokens": self._thoughts},
            "total_tokens": prompt + words,
        }

    def _say(self, kind: str, field: str, part: str, text: str) -> Iterator[Raw]:
        name, part_name, index = _NAMES[kind]
        if not self.output or self.output[-1]["type"] != kind:
            yield from self._open(_item(kind, f"{kind}_{len(self.output)}"))
            self.output[-1][field] = [{"type": part, "text": ""}]
            opened = self._place() | {index: 0, "part": self.output[-1][field][0]}
            yield self._event(f"response.{part_name}.added", **opened)
        self.output[-1][field][0]["text"] += text
        shown = len(text) if kind == "message" else 0
        fields = self._place() | {index: 0, "delta": text}
        yield self._event(f"response.{name}.delta", shown, **fields)

    def _call(self, identifier: str, name: str, arguments: str) -> Iterator[Raw]:
        item = _item("function_call", f"fc_{identifier}")
        yield from self._open(item | {"call_id": identifier, "name": name, "arguments": ""})
        for start in range(0, len(arguments), FRAGMENT):
            delta = arguments[start : start + FRAGMENT]
            event = "response.function_call_arguments.delta"
            yield self._event(event, **self._place(), delta=delta)
        self.output[-1]["arguments"] = arguments

    def _open(self, item: dict[str, Any]) -> Iterator[Raw]:
        yield from self._close()
        self.output.append(item)
        index = len(self.output) - 1
        yield self._event("response.output_item.added", output_index=index, item=item)

    def _close(self) -> Iterator[Raw]:
        if not self.output:
            return
        item, place = self.output[-1], self._place()
        item["status"] = "completed"
        name, part_name, index = _NAMES[item["type"]]
        if part_name:
            text = place | {index: 0, "text": _text_of(item)}
            yield self._event(f"response.{name}.done", **text)
            part = (item.get("content") or item["summary"])[0]
            yield self._event(f"response.{part_name}.done", **place, **{index: 0}, part=part)
        else:
            yield self._event(f"response.{name}.done", **place, arguments=item["arguments"])
        yield self._event(
            "response.output_item.done", output_index=place["output_index"], item=item
        )

    def _place(self) -> dict[str, Any]:
        return {"item_id": self.output[-1]["id"], "output_index": len(self.output) - 1}

    def _event(self, name: str, characters: int = 0, /, **fields: Any) -> Raw:
        data = {"type": name, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return Raw(b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data)), characters)


def _item(kind: str, identifier: str) -> dict[str, Any]:
    item: dict[str, Any] = {"type": kind, "id": identifier, "status": "in_progress"}
    match kind:
        case "message":
            return item | {"role": "assistant", "content": []}
        case "reasoning":
            return item | {"summary": []}
        case _:
            return item


def _text_of(item: dict[str, Any]) -> str:
    if item["type"] == "function_call":
        return str(item["arguments"])
    parts = item.get("content") or item.get("summary") or ()
    return "".join(part["text"] for part in parts)


def _whole(steps: Iterable[Step], answer: _Response, settings: Settings) -> Iterator[Played]:
    for step in steps:
        match step:
            case Sleep() | Cut() | Status():
                yield step
                if not isinstance(step, Sleep):
                    return
            case Event("error", data):
                yield _refusal(data, settings)
                return
            case _:
                list(answer.take(step))
    list(answer.end())
    status = "incomplete" if answer.reason == "length" else "completed"
    yield Status(200, answer.shown(status))


def _stream(steps: Iterable[Step], answer: _Response, settings: Settings) -> Iterator[Played]:
    is_begun = False
    for step in steps:
        match step:
            case Sleep() | Cut() | Status() | Raw():
                yield step
                if not isinstance(step, Sleep | Raw):
                    return
                continue
            case Event("error", data) if not is_begun:
                yield _refusal(data, settings)
                return
            case Event("error", data):
                yield _late(answer, data, settings)
                return
        if not is_begun:
            yield from answer.begin()
            is_begun = True
        for event in answer.take(step):
            yield from ([Raw(b": ping\n\n")] if settings.comments else [])
            yield event
    yield from answer.end()


def _refusal(data: dict[str, Any], settings: Settings) -> Status:
    failure = failures.of_event(data)
    return failures.as_status(failure, settings.error_shape, data.get("text"))


def _late(answer: _Response, data: dict[str, Any], settings: Settings) -> Played:
    if settings.late_errors == "cut":
        return Cut()
    failure = failures.of_event(data)
    return answer.fail({"code": failure.code, "message": str(data.get("text"))})
