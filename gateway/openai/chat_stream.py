"""Chat completions as a stream: an answer's events become chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

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
from gateway.dialect import Frame, Head
from gateway.openai import errors
from gateway.openai.chat_answer import THINK, THOUGHT, finish_reason, id_of
from gateway.openai.chat_request import ChatAsk
from gateway.openai.chunks import Chunks, with_usage
from gateway.openai.usage import usage_of
from gateway.problems import Problem
from gateway.render.answer_text import AnswerText
from gateway.render.tool_calls import ToolCalls
from gateway.render.usage import UsageMeter

DONE = "[DONE]"


class StreamedChoice(Protocol):
    """Renders one choice of a stream."""

    def begin(self) -> list[str]:
        """Return what goes before the first chunk of several choices."""
        ...

    def feed(self, events: Sequence[Event]) -> list[str]:
        """Return the chunks that the events of one record add."""
        ...

    def usage(self, fields: dict[str, Any]) -> str:
        """Return the chunk with the token counts."""
        ...


class ChunkEncoder:
    """Renders one answer as chunks, those of `choices`, with token counts if they are asked for."""

    def __init__(
        self,
        head: Head,
        choices: Sequence[StreamedChoice],
        *,
        include_usage: bool,
        continuous_usage: bool,
    ) -> None:
        self._choices = choices
        self._include_usage = include_usage
        self._continuous_usage = continuous_usage
        shown = len(choices) if include_usage or continuous_usage else 0
        self._meters = [UsageMeter(head.prompt_tokens) for _ in range(shown)]
        # OpenAI's helper for streams takes a choice only after those before it, and they come in
        # any order.
        several = choices if len(choices) > 1 else ()
        self._opening = [Frame(chunk) for choice in several for chunk in choice.begin()]

    def begin(self) -> list[Frame]:
        """Return the roles of all choices, if there are several."""
        return self._opening

    def feed(self, choice: int, events: Sequence[Event]) -> list[Frame]:
        """Return the chunks that these events add."""
        if self._meters:
            for event in events:
                self._meters[choice].observe(event)
        chunks = self._choices[choice].feed(events)
        if self._continuous_usage and chunks and not isinstance(events[-1], Failed):
            fields = usage_of(self._meters)
            chunks = [with_usage(chunk, fields) for chunk in chunks]
        return [Frame(chunk) for chunk in chunks]

    def end(self, problem: Problem | None) -> list[Frame]:
        """Return the usage, if it is asked for, and `[DONE]`; nothing after an error.

        A client that knows nothing of errors at least sees a stream that was cut. The error has
        no `choices`: clients look for one only where there are none.
        """
        if problem is not None:
            return [Frame(errors.body(problem))]
        done = [Frame(DONE)]
        if self._include_usage:
            done.insert(0, Frame(self._choices[0].usage(usage_of(self._meters))))
        return done


def chat_encoder(head: Head, ask: ChatAsk) -> ChunkEncoder:
    """Return what renders one answer as the chunks of chat completions."""
    choices = [
        ChatChoice(head, number, legacy_calls=ask.legacy_calls) for number in range(head.choices)
    ]
    return ChunkEncoder(
        head,
        choices,
        include_usage=ask.include_usage,
        continuous_usage=ask.continuous_usage,
    )


class ChatChoice:
    """Renders one choice of chat completions."""

    def __init__(self, head: Head, number: int, *, legacy_calls: bool) -> None:
        self._chunks = Chunks(f"chatcmpl-{head.job}", head.created, head.model, number)
        self._reasoning: ReasoningMode = head.reasoning
        self._text = AnswerText()
        self._legacy_calls = legacy_calls
        self._calls = ToolCalls(id_of(head.job, number))
        self._out: list[str] = []
        self._begun = False
        self._thinks = False
        # Text of one kind that follows text of the same kind goes into the same chunk.
        self._run: list[str] = []
        self._run_kind: Callable[[str], list[str]] = self._chunks.content

    def begin(self) -> list[str]:
        """Tell the role ahead of everything else."""
        self._begun = True
        return [self._chunks.role()]

    def feed(self, events: Sequence[Event]) -> list[str]:
        """Return the chunks that the events of one record add."""
        for event in events:
            self._render(event)
        self._end_run()
        out, self._out = self._out, []
        return out

    def usage(self, fields: dict[str, Any]) -> str:
        """Return the chunk with the token counts."""
        return self._chunks.usage(fields)

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
                self._end_text()
                self._emit(*self._chunks.refusal(event.text))
            case File():
                self._text.add(event)
            case Finished():
                self._finish(event)
            case Failed():
                self._end_text()

    def _say(self, text: str) -> None:
        if text and self._thinks:
            self._end_thought()
        self._extend_run(self._chunks.content, text)

    def _think(self, text: str) -> None:
        if self._reasoning == "separate":
            self._extend_run(self._chunks.reasoning, text)
        elif self._reasoning == "inline":
            self._extend_run(self._chunks.content, text if self._thinks else THINK + text)
            self._thinks = True

    def _end_thought(self) -> None:
        self._thinks = False
        self._extend_run(self._chunks.content, THOUGHT)

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
        call, is_new = self._calls.take(delta)
        if self._legacy_calls and call.index:
            return  # a legacy answer has room for one call
        if is_new:
            self._emit(
                self._chunks.function(call.name)
                if self._legacy_calls
                else self._chunks.call(call.index, call.id, call.name)
            )
        if delta.arguments:
            self._emit(*self._arguments(call.index, delta.arguments))

    def _arguments(self, index: int, fragment: str) -> list[str]:
        if self._legacy_calls:
            return self._chunks.function_arguments(fragment)
        return self._chunks.arguments(index, fragment)

    def _finish(self, finished: Finished) -> None:
        self._end_text()
        for call in self._calls.without_arguments():
            if not (self._legacy_calls and call.index):
                self._emit(*self._arguments(call.index, "{}"))
        reason = finish_reason(finished, len(self._calls) > 0, legacy_calls=self._legacy_calls)
        self._emit(self._chunks.finish(reason))

    def _end_text(self) -> None:
        if self._thinks:
            self._end_thought()
        self._say(self._text.close())
        self._end_run()
