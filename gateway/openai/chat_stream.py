"""Chat completions as a stream: an answer's events become chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from contract.messages import Event, Failed, Finished
from gateway.dialect import Frame, Head
from gateway.openai import errors
from gateway.openai.chat_answer import finish_reason, id_of
from gateway.openai.chat_request import ChatAsk
from gateway.openai.chunks import Chunks, with_usage
from gateway.openai.usage import usage_of
from gateway.problems import Problem
from gateway.render.ordered import OrderedAnswer
from gateway.render.tool_calls import Call
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
        self._answer = OrderedAnswer(head.reasoning, id_of(head.job, number))
        self._legacy_calls = legacy_calls
        self._out: list[str] = []
        self._begun = False

    def begin(self) -> list[str]:
        """Tell the role ahead of everything else."""
        self._begun = True
        return [self._chunks.role()]

    def feed(self, events: Sequence[Event]) -> list[str]:
        """Return the chunks that the events of one record add."""
        self._answer.feed(events, self)
        out, self._out = self._out, []
        return out

    def usage(self, fields: dict[str, Any]) -> str:
        """Return the chunk with the token counts."""
        return self._chunks.usage(fields)

    def text(self, text: str) -> None:
        self._emit(*self._chunks.content(text))

    def thought(self, text: str) -> None:
        self._emit(*self._chunks.reasoning(text))

    def refusal(self, text: str) -> None:
        self._emit(*self._chunks.refusal(text))

    def call(self, call: Call) -> None:
        if not self._legacy_calls:
            self._emit(self._chunks.call(call.index, call.id, call.name))
        elif self._has_room_for(call):
            self._emit(self._chunks.function(call.name))

    def arguments(self, call: Call, text: str) -> None:
        if not self._legacy_calls:
            self._emit(*self._chunks.arguments(call.index, text))
        elif self._has_room_for(call):
            self._emit(*self._chunks.function_arguments(text))

    def finish(self, finished: Finished) -> None:
        calls = self._answer.calls
        for call in calls.without_arguments():
            self.arguments(call, "{}")
        reason = finish_reason(finished, len(calls) > 0, legacy_calls=self._legacy_calls)
        self._emit(self._chunks.finish(reason))

    def _emit(self, *chunks: str) -> None:
        if not self._begun:
            self._begun = True
            self._out.append(self._chunks.role())
        self._out.extend(chunks)

    @staticmethod
    def _has_room_for(call: Call) -> bool:
        """Return whether an answer in the form of 2023, which has one call, shows this one."""
        return call.index == 0
