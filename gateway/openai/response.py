"""Answers: a job's events become a stream of chunks, or one completion."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

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
from gateway.openai.chunks import Chunks, with_usage
from gateway.openai.errors import error_body, from_failed
from gateway.render.append_only import AppendOnly
from gateway.render.file_links import Attachments
from gateway.render.usage import UsageMeter, total

DONE = "[DONE]"

_THINK, _THOUGHT = "<think>\n", "\n</think>\n\n"
"""How most clients expect thoughts within a text."""


@dataclass(frozen=True)
class Head:
    """What is known of an answer before it comes."""

    job: str
    created: int
    """Unix time in seconds."""
    model: str
    """As the client calls it."""
    prompt_tokens: int
    """An estimate, for when the upstream counts nothing."""
    choices: int = 1
    include_usage: bool = False
    """Whether a stream ends with token counts."""
    continuous_usage: bool = False
    """Whether each of its chunks has them, too."""
    reasoning: Literal["separate", "inline", "drop"] = "separate"
    legacy_calls: bool = False
    """Whether tool calls are told as `function_call`, which can be only one."""
    echo: str = ""
    """What a legacy completion begins with."""


def keep_alive(position: int | None = None, eta: float | None = None) -> bytes:
    """Render a comment that keeps an idle stream open; `eta` is in seconds.

    Every client skips it. It must not begin with `: ping`, which Continue takes for the end.
    """
    place = "" if position is None else f" position={position}"
    wait = "" if eta is None else f" eta={max(1, round(eta))}s"
    queued = " queued" if place or wait else ""
    return f": keep-alive{queued}{place}{wait}\n\n".encode("ascii")


class StreamedChoice(Protocol):
    """Renders one choice of a stream."""

    def render(self, event: Event) -> list[str]: ...
    def end_run(self) -> list[str]:
        """What the events of one record have left behind."""
        ...

    def usage(self, fields: dict[str, Any]) -> str: ...


class StreamRenderer:
    """Renders one answer as the JSON of chunks, those of chat completions or of `choices`.

    Give it all events of each choice in order, by records: the same records give the same chunks.
    When it has finished, `ending` is what closes the stream.
    """

    def __init__(self, head: Head, choices: Sequence[StreamedChoice] = ()) -> None:
        self.finished = False
        self._head = head
        answer_id = f"chatcmpl-{head.job}"
        self._meters = [UsageMeter(head.prompt_tokens) for _ in range(head.choices)]
        own = [_StreamedChoice(head, answer_id, n) for n in range(0 if choices else head.choices)]
        self._choices = choices or own
        self._opening = [choice.begin() for choice in own] if head.choices > 1 else []
        self._unfinished = set(range(head.choices))
        self._failed = False

    def feed(self, choice: int, events: Iterable[Event]) -> list[str]:
        """Return the chunks that these events add. Whatever follows the last one is ignored."""
        chunks: list[str] = []
        for event in events:
            if choice not in self._unfinished or self.finished:
                break
            self._meters[choice].observe(event)
            chunks += self._choices[choice].render(event)
            if isinstance(event, Finished | Failed):
                self._unfinished.discard(choice)
                self._failed = isinstance(event, Failed)
                self.finished = self._failed or not self._unfinished
        if not self._failed:
            chunks += self._choices[choice].end_run()
        if self._head.continuous_usage and chunks and not self._failed:
            fields = total(self._meters)
            chunks = [with_usage(chunk, fields) for chunk in chunks]
        return chunks

    def opening(self) -> list[str]:
        """What goes before the first chunk of several choices.

        OpenAI's helper for streams takes a choice only behind those before it, and they come in
        any order.
        """
        return self._opening

    def ending(self) -> list[str]:
        """What closes the stream: nothing after an error.

        A client that knows nothing of errors shall at least see a stream that was cut.
        """
        if self._failed:
            return []
        usage = [self._choices[0].usage(total(self._meters))] if self._head.include_usage else []
        return [*usage, DONE]


@dataclass
class _Begun:
    """A tool call that has been begun in a stream."""

    index: int
    has_arguments: bool = False


class _StreamedChoice:
    """Renders one choice of a stream."""

    def __init__(self, head: Head, answer_id: str, choice: int) -> None:
        self._answer_id = _id_of(answer_id, choice)
        self._chunks = Chunks(answer_id, head.created, head.model, choice)
        self._reasoning = head.reasoning
        self._text = AppendOnly()
        self._files = Attachments()
        self._legacy_calls = head.legacy_calls
        # By the event's index: the client's, and whether it has arguments. A worker of an earlier
        # version passed on what Poe counts, and OpenAI's helper wants 0, 1, 2.
        self._calls: dict[int, _Begun] = {}
        self._out: list[str] = []
        self._begun = False
        self._thinks = False
        # Text of one kind that follows text of the same kind goes into the same chunk.
        self._run: list[str] = []
        self._run_kind: Callable[[str], list[str]] = self._chunks.content

    def begin(self) -> str:
        """Tell the role ahead of everything else."""
        self._begun = True
        return self._chunks.role()

    def render(self, event: Event) -> list[str]:
        match event:
            case Text():
                self._say(self._files.resolve(self._text.append(event.text)))
            case Reasoning():
                self._think(event.text)
            case Replaced():
                self._say(self._files.resolve(self._text.replace(event.text)))
            case ToolCallDelta():
                self._call(event)
            case Refusal():
                self._end_text()
                self._emit(*self._chunks.refusal(event.text))
            case File():
                self._files.add(event)
            case Finished():
                self._finish(event)
            case Failed():
                self._fail(event)
        return self._taken()

    def end_run(self) -> list[str]:
        self._end_run()
        return self._taken()

    def usage(self, fields: dict[str, Any]) -> str:
        return self._chunks.usage(fields)

    def _taken(self) -> list[str]:
        out, self._out = self._out, []
        return out

    def _say(self, text: str) -> None:
        if text and self._thinks:
            self._end_thought()
        self._extend_run(self._chunks.content, text)

    def _think(self, text: str) -> None:
        if self._reasoning == "separate":
            self._extend_run(self._chunks.reasoning, text)
        elif self._reasoning == "inline":
            self._extend_run(self._chunks.content, text if self._thinks else _THINK + text)
            self._thinks = True

    def _end_thought(self) -> None:
        self._thinks = False
        self._extend_run(self._chunks.content, _THOUGHT)

    def _extend_run(self, kind: Callable[[str], list[str]], text: str) -> None:
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
            self._emit(*self._run_kind(text))

    def _emit(self, *chunks: str) -> None:
        if not self._begun:
            self._begun = True
            self._out.append(self._chunks.role())
        self._out.extend(chunks)

    def _call(self, delta: ToolCallDelta) -> None:
        self._end_run()
        call = self._calls.get(delta.index)
        if call is None:
            if self._legacy_calls and self._calls:
                return
            call = self._calls[delta.index] = _Begun(len(self._calls))
            call_id = delta.id or _call_id(self._answer_id, call.index)
            self._emit(
                self._chunks.function(delta.name)
                if self._legacy_calls
                else self._chunks.call(call.index, call_id, delta.name)
            )
        if delta.arguments:
            call.has_arguments = True
            self._emit(*self._arguments(call.index, delta.arguments))

    def _arguments(self, index: int, fragment: str) -> list[str]:
        if self._legacy_calls:
            return self._chunks.function_arguments(fragment)
        return self._chunks.arguments(index, fragment)

    def _finish(self, finished: Finished) -> None:
        self._end_text()
        for call in self._calls.values():
            if not call.has_arguments:
                self._emit(*self._arguments(call.index, "{}"))
        reason = finish_reason(finished, bool(self._calls), self._legacy_calls)
        self._emit(self._chunks.finish(reason))

    def _fail(self, failed: Failed) -> None:
        # No `choices`: clients look for an error only where there are none.
        self._end_text()
        self._out.append(error_body(from_failed(failed)).decode("ascii"))

    def _end_text(self) -> None:
        if self._thinks:
            self._end_thought()
        self._say(self._files.close(self._text.sent))
        self._end_run()


class AnswerCollector:
    """Collects one answer and renders it as one completion. Takes the same as StreamRenderer."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._answer_id = f"chatcmpl-{head.job}"
        self._meters = [UsageMeter(head.prompt_tokens) for _ in range(head.choices)]
        self._choices = [
            CollectedChoice(_id_of(self._answer_id, n), head.reasoning, head.legacy_calls)
            for n in range(head.choices)
        ]

    def feed(self, choice: int, events: Iterable[Event]) -> None:
        for event in events:
            self._meters[choice].observe(event)
            self._choices[choice].collect(event)

    def body(self) -> bytes:
        """Render the completion. Only a finished answer that has not failed has one."""
        completion = {
            "id": self._answer_id,
            "object": "chat.completion",
            "created": self._head.created,
            "model": self._head.model,
            "choices": [
                {
                    "index": index,
                    "message": choice.message(),
                    "logprobs": None,
                    "finish_reason": choice.finish_reason,
                }
                for index, choice in enumerate(self._choices)
            ],
            "usage": total(self._meters),
        }
        return json.dumps(completion, separators=(",", ":")).encode("ascii")


class CollectedChoice:
    """Collects one choice."""

    def __init__(
        self,
        answer_id: str,
        reasoning: Literal["separate", "inline", "drop"] = "separate",
        legacy_calls: bool = False,
    ) -> None:
        self._legacy_calls = legacy_calls
        self.files: list[File] = []
        self._answer_id = answer_id
        self._reasoning = reasoning
        self._text: list[str] = []
        self._thoughts: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._end = Finished()

    @property
    def finish_reason(self) -> str:
        return finish_reason(self._end, bool(self._calls), self._legacy_calls)

    def collect(self, event: Event) -> None:
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
                self._end = event

    def message(self) -> dict[str, Any]:
        content = self.content()
        thoughts = "".join(self._thoughts)
        if thoughts and self._reasoning == "inline":
            content = f"{_THINK}{thoughts}{_THOUGHT}{content}"
        refusal = "".join(self._refusal) or None
        message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": refusal}
        if thoughts and self._reasoning == "separate":
            message["reasoning_content"] = thoughts
        calls = [_whole_call(call) for call in self._calls.values()]
        if calls and self._legacy_calls:
            message["function_call"] = calls[0]["function"]
        elif calls:
            message["tool_calls"] = calls
        if self._calls or refusal:
            message["content"] = content or None
        return message

    def content(self) -> str:
        """The text, and what it does not show of the files."""
        files = Attachments()
        for file in self.files:
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


def _id_of(answer_id: str, choice: int) -> str:
    return f"{answer_id}-{choice}" if choice else answer_id


def _whole_call(call: dict[str, Any]) -> dict[str, Any]:
    arguments = "".join(call["arguments"]) or "{}"
    function = {"name": call["name"], "arguments": arguments}
    return {"id": call["id"], "type": "function", "function": function}


def _call_id(answer_id: str, index: int) -> str:
    """Name a call that the upstream did not: clients match a tool's result to its call by it."""
    return f"call_{answer_id.removeprefix('chatcmpl-')}_{index}"


def finish_reason(finished: Finished, has_calls: bool, legacy_calls: bool = False) -> str:
    """Return the reason that fits the answer: agents run the tools of `tool_calls` only."""
    if finished.reason in ("stop", "tool_calls"):
        calls = "function_call" if legacy_calls else "tool_calls"
        return calls if has_calls else "stop"
    return finished.reason
