"""Answers: a job's events become a stream of chunks, or one completion."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from contract.messages import (
    Event,
    Failed,
    File,
    Finished,
    Reasoning,
    Replaced,
    Text,
    ToolCallDelta,
    Usage,
)
from gateway.openai.append_only import AppendOnly
from gateway.openai.attachments import Attachments
from gateway.openai.chunks import DONE, Chunks, usage_fields
from gateway.openai.errors import error_body, from_failed
from gateway.openai.usage import UsageMeter


def keep_alive(position: int | None = None, eta: float | None = None) -> bytes:
    """Render a comment that keeps an idle stream open; `eta` is in seconds.

    Every client skips it. It must not begin with `: ping`, which Continue takes for the end.
    """
    place = "" if position is None else f" position={position}"
    wait = "" if eta is None else f" eta={max(1, round(eta))}s"
    queued = " queued" if place or wait else ""
    return f": keep-alive{queued}{place}{wait}\n\n".encode("ascii")


class StreamRenderer:
    """Renders one answer as server-sent events.

    Give it all events of the job, in order, in batches of any size; write what comes back. The
    last write ends with `[DONE]`, or with an error and no `[DONE]`. `created` is in seconds of
    Unix time; `prompt_tokens` is an estimate, for when the upstream counts nothing.
    """

    def __init__(
        self, answer_id: str, created: int, model: str, include_usage: bool, prompt_tokens: int
    ) -> None:
        self.finished = False
        self._answer_id = answer_id
        self._chunks = Chunks(answer_id, created, model)
        self._include_usage = include_usage
        self._meter = UsageMeter(prompt_tokens)
        self._text = AppendOnly()
        self._files = Attachments()
        self._calls: dict[int, bool] = {}  # index -> whether it has arguments
        self._out: list[str] = []
        self._begun = False
        # Text of one kind that follows text of the same kind goes into the same chunk.
        self._run: list[str] = []
        self._run_kind: Callable[[str], str] = self._chunks.content

    @property
    def usage(self) -> Usage:
        """The token counts so far."""
        return self._meter.usage

    def feed(self, events: Iterable[Event]) -> bytes:
        """Return the bytes that these events add. Whatever follows the last one is ignored."""
        for event in events:
            if self.finished:
                break
            self._meter.observe(event)
            self._render(event)
        self._end_run()
        rendered = "".join(self._out).encode("ascii")
        self._out.clear()
        return rendered

    def _render(self, event: Event) -> None:
        match event:
            case Text():
                self._say(self._files.resolve(self._text.append(event.text)))
            case Reasoning():
                self._extend_run(self._chunks.reasoning, event.text)
            case Replaced():
                self._say(self._files.resolve(self._text.replace(event.text)))
            case ToolCallDelta():
                self._call(event)
            case File():
                self._files.add(event)
            case Finished():
                self._finish(event)
            case Failed():
                self._fail(event)

    def _say(self, text: str) -> None:
        self._extend_run(self._chunks.content, text)

    def _extend_run(self, kind: Callable[[str], str], text: str) -> None:
        if not text:
            return
        if kind != self._run_kind:
            self._end_run()
            self._run_kind = kind
        self._run.append(text)

    def _end_run(self) -> None:
        if self._run:
            text = "".join(self._run)
            self._run.clear()
            self._emit(self._run_kind(text))

    def _emit(self, chunk: str) -> None:
        if not self._begun:
            self._begun = True
            self._out.append(self._chunks.role())
        self._out.append(chunk)

    def _call(self, delta: ToolCallDelta) -> None:
        self._end_run()
        if delta.index not in self._calls:
            self._calls[delta.index] = False
            call_id = delta.id or _call_id(self._answer_id, delta.index)
            self._emit(self._chunks.call(delta.index, call_id, delta.name))
        if delta.arguments:
            self._calls[delta.index] = True
            self._emit(self._chunks.arguments(delta.index, delta.arguments))

    def _finish(self, finished: Finished) -> None:
        self._end_text()
        for index, has_arguments in self._calls.items():
            if not has_arguments:
                self._emit(self._chunks.arguments(index, "{}"))
        self._emit(self._chunks.finish(_finish_reason(finished, bool(self._calls))))
        if self._include_usage:
            self._emit(self._chunks.usage(self.usage))
        self._emit(DONE)
        self.finished = True

    def _fail(self, failed: Failed) -> None:
        # No `choices`: clients look for an error only where there are none. No `[DONE]`: a
        # client that knows nothing of errors shall at least see a stream that was cut.
        self._end_text()
        self._out.append(f"data: {error_body(from_failed(failed)).decode('ascii')}\n\n")
        self.finished = True

    def _end_text(self) -> None:
        self._say(self._files.close(self._text.sent))
        self._end_run()


class AnswerCollector:
    """Collects one answer and renders it as one completion. Takes the same as StreamRenderer."""

    def __init__(self, answer_id: str, created: int, model: str, prompt_tokens: int) -> None:
        self.finished = False
        self.failed: Failed | None = None
        """Why there will be no answer, once that is known."""
        self._answer_id = answer_id
        self._created = created
        self._model = model
        self._meter = UsageMeter(prompt_tokens)
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._files: list[File] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._end = Finished()

    @property
    def usage(self) -> Usage:
        """The token counts so far."""
        return self._meter.usage

    def feed(self, events: Iterable[Event]) -> None:
        for event in events:
            if self.finished:
                break
            self._meter.observe(event)
            self._collect(event)

    def _collect(self, event: Event) -> None:
        match event:
            case Text():
                self._text.append(event.text)
            case Replaced():
                self._text = [event.text]
            case Reasoning():
                self._reasoning.append(event.text)
            case ToolCallDelta():
                self._call(event)
            case File():
                self._files.append(event)
            case Finished():
                self.finished, self._end = True, event
            case Failed():
                self.finished, self.failed = True, event

    def body(self) -> bytes:
        """Render the completion. Only a finished answer that has not failed has one."""
        choice = {
            "index": 0,
            "message": self._message(),
            "logprobs": None,
            "finish_reason": _finish_reason(self._end, bool(self._calls)),
        }
        completion = {
            "id": self._answer_id,
            "object": "chat.completion",
            "created": self._created,
            "model": self._model,
            "choices": [choice],
            "usage": usage_fields(self.usage),
        }
        return json.dumps(completion, separators=(",", ":")).encode("ascii")

    def _message(self) -> dict[str, Any]:
        content = self._content()
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": None}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._calls:
            message["content"] = content or None
            message["tool_calls"] = [_whole_call(call) for call in self._calls.values()]
        return message

    def _content(self) -> str:
        files = Attachments()
        for file in self._files:
            files.add(file)
        text = files.resolve("".join(self._text))
        return text + files.close(text)

    def _call(self, delta: ToolCallDelta) -> None:
        call = self._calls.setdefault(
            delta.index,
            {
                "id": delta.id or _call_id(self._answer_id, delta.index),
                "name": delta.name,
                "arguments": [],
            },
        )
        call["arguments"].append(delta.arguments)


def _whole_call(call: dict[str, Any]) -> dict[str, Any]:
    arguments = "".join(call["arguments"]) or "{}"
    function = {"name": call["name"], "arguments": arguments}
    return {"id": call["id"], "type": "function", "function": function}


def _call_id(answer_id: str, index: int) -> str:
    """Name a call that the upstream did not: clients match a tool's result to its call by it."""
    return f"call_{answer_id.removeprefix('chatcmpl-')}_{index}"


def _finish_reason(finished: Finished, has_calls: bool) -> str:
    """Return the reason that fits the answer: agents run the tools of `tool_calls` only."""
    if finished.reason in ("stop", "tool_calls"):
        return "tool_calls" if has_calls else "stop"
    return finished.reason
