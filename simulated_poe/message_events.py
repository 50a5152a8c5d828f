"""Renders an answer as Anthropic does, whole or as a stream of its events."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from simulated_poe import failures
from simulated_poe.chat import AnswerText
from simulated_poe.chunks import FRAGMENT, Head
from simulated_poe.failures import Failure
from simulated_poe.messages import Form
from simulated_poe.signatures import hidden, signature
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

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_FIELDS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}

_OWN = ("message_", "content_block_", "ping")
"""How the names of Anthropic's events begin."""

Data = dict[str, Any]
_Event = tuple[str, Data] | Played


def error_body(failure: Failure, message: str | None = None) -> Data:
    """Return the body of an HTTP error; that of a 400 has JSON in its message, as users saw it."""
    text = message or failure.message
    if failure.status == 400:
        text = orjson.dumps({"message": text}).decode()
    error = {"type": _TYPES.get(failure.status, "api_error"), "message": text}
    return {"type": "error", "error": error, "request_id": f"req_poe_{uuid.uuid4().hex[:24]}"}


def as_status(failure: Failure, message: str | None = None) -> Status:
    """Return a failure as an HTTP error."""
    after = failure.retry_after
    headers = {} if after is None else {"Retry-After": str(after)}
    return Status(failure.status, error_body(failure, message), headers)


def render(steps: Iterable[Step], head: Head, form: Form, cached: Data) -> Iterator[Played]:
    """Render a bot's answer; `cached` is what its usage says of caches."""
    renderer = _Renderer(head, form, cached)
    events = renderer.events(steps)
    return _stream(events) if form.stream else _whole(events)


class _Renderer:
    """Makes events, as (name, data), of one answer; other steps are played as they are."""

    def __init__(self, head: Head, form: Form, cached: Data) -> None:
        self._head = head
        self._form = form
        self._cached = cached
        self._index = -1
        self._open = ""
        self._words: list[str] = []
        self._thought = ""
        self._begun = False
        self._has_thought = False
        self._is_scripted = False
        self._answer = AnswerText()
        self._last = End("stop")

    def events(self, steps: Iterable[Step]) -> Iterator[_Event]:
        for step in steps:
            match step:
                case Sleep() | Raw():
                    yield step
                case Cut():
                    yield step
                    return
                case Status(status, body):
                    is_ours = isinstance(body, dict) and body.get("type") == "error"
                    yield step if is_ours or status < 400 else as_status(failures.FAILURES[status])
                    return
                case Event("error", data):
                    yield from self._error(data)
                    return
                case Event(name, data) if name.startswith(_OWN):
                    # A script that plays events of its own plays all of them.
                    self._is_scripted = True
                    yield name, data
                case _:
                    yield from self._said(step)
        if not self._is_scripted:
            yield from self._text(self._answer.finish())
            yield from self._begin()
            yield from self._close()
            yield from self._end()

    def _said(self, step: Step) -> Iterator[_Event]:
        match step:
            case Thought(text):
                if self._form.thinks:
                    self._has_thought = True
                    yield from self._think(text)
            case End():
                self._last = step
            case Call():
                yield from self._think_first()
                yield from self._call(step)
            case _:
                yield from self._text(self._answer.take(step))

    def _text(self, text: str) -> Iterator[_Event]:
        if text:
            yield from self._think_first()
            yield from self._delta("text", {"text": ""}, "text_delta", text)

    def _think_first(self) -> Iterator[_Event]:
        if self._has_thought or not self._form.thinks:
            return
        self._has_thought = True
        yield from self._think("I have to think ")
        yield from self._think("about this: \N{THINKING FACE}.")
        yield from self._close()
        if self._form.hides:
            block = {"type": "redacted_thinking", "data": hidden("a secret thought")}
            yield from self._block(block)
            yield from self._close()

    def _think(self, text: str) -> Iterator[_Event]:
        yield from self._delta(
            "thinking", {"thinking": "", "signature": ""}, "thinking_delta", text
        )
        self._thought += text

    def _call(self, call: Call) -> Iterator[_Event]:
        identifier = f"toolu_{call.id.removeprefix('call_')}"
        block = {"type": "tool_use", "id": identifier, "name": call.name, "input": {}}
        yield from self._block(block)
        self._words.append(call.arguments)
        sent = "" if call.arguments == "{}" else call.arguments
        for start in range(0, len(sent) or 1, FRAGMENT):
            delta = {"type": "input_json_delta", "partial_json": sent[start : start + FRAGMENT]}
            yield "content_block_delta", {"index": self._index, "delta": delta}
        yield from self._close()

    def _delta(self, kind: str, empty: Data, delta: str, text: str) -> Iterator[_Event]:
        if self._open != kind:
            yield from self._block({"type": kind, **empty})
        self._words.append(text)
        data = {"type": delta, _FIELDS[delta]: text}
        yield "content_block_delta", {"index": self._index, "delta": data}

    def _block(self, block: Data) -> Iterator[_Event]:
        yield from self._begin()
        yield from self._close()
        self._index += 1
        self._open = block["type"]
        yield "content_block_start", {"index": self._index, "content_block": block}

    def _close(self) -> Iterator[_Event]:
        if self._open == "thinking":
            delta = {"type": "signature_delta", "signature": signature(self._thought)}
            yield "content_block_delta", {"index": self._index, "delta": delta}
            self._thought = ""
        if self._open:
            yield "content_block_stop", {"index": self._index}
        self._open = ""

    def _begin(self) -> Iterator[_Event]:
        if self._begun:
            return
        self._begun = True
        message: Data = {
            "id": f"msg_{self._head.id.rpartition('-')[2]}",
            "type": "message",
            "role": "assistant",
            "model": self._head.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**self._cached, "output_tokens": 1},
        }
        yield "message_start", {"message": message}
        yield "ping", {}

    def _end(self) -> Iterator[_Event]:
        stop = self._last.stop or None
        told = "stop_sequence" if stop else _REASONS[self._last.reason]
        count = sum(len(text.split()) for text in self._words)
        delta = {"stop_reason": told, "stop_sequence": stop}
        usage = {**self._cached, "output_tokens": count}
        yield "message_delta", {"delta": delta, "usage": usage}
        yield "message_stop", {}

    def _error(self, data: Data) -> Iterator[_Event]:
        failure = failures.of_event(data)
        if not (self._begun or self._is_scripted):
            yield as_status(failure, data.get("text"))
        elif self._form.cuts:
            yield Cut()
        else:
            yield "error", {"error": error_body(failure, data.get("text"))["error"]}


def _stream(events: Iterable[_Event]) -> Iterator[Played]:
    for event in events:
        if isinstance(event, tuple):
            name, data = event
            body = orjson.dumps({"type": name, **data})
            text = data.get("delta", {}).get("text", "")
            last = name in ("message_stop", "error")
            raw = b"event: %b\ndata: %b\n\n" % (name.encode(), body)
            yield Raw(raw, len(text), last, name == "error")
        else:
            yield event


def _whole(events: Iterable[_Event]) -> Iterator[Played]:
    """Gather what a stream would say into one message."""
    message: Data = {}
    inputs: dict[int, str] = {}
    for event in events:
        if not isinstance(event, tuple):
            yield event
            continue
        name, data = event
        if name == "error":
            yield Status(500, {"type": "error", **data})
            return
        if name == "message_start":
            message = data["message"]
        elif name == "content_block_start":
            message["content"].append(dict(data["content_block"]))
        elif name == "content_block_delta":
            _add(message["content"][data["index"]], data["delta"], inputs, data["index"])
        elif name == "message_delta":
            message |= {**data["delta"], "usage": data["usage"]}
    for index, text in inputs.items():
        message["content"][index]["input"] = orjson.loads(text or "{}")
    yield Status(200, message)


def _add(block: Data, delta: Data, inputs: dict[int, str], index: int) -> None:
    if delta["type"] == "input_json_delta":
        inputs[index] = inputs.get(index, "") + delta["partial_json"]
    else:
        field = _FIELDS[delta["type"]]
        block[field] = block.get(field, "") + delta[field]
