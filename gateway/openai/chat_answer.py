"""Chat completions in one piece: an answer's events become one completion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from contract.config import ReasoningMode
from contract.messages import Event, Finished
from gateway.dialect import Head
from gateway.openai.chat_request import ChatAsk
from gateway.openai.usage import usage_of
from gateway.render.collected import CollectedChoice
from gateway.render.ordered import THINK, THOUGHT
from gateway.render.usage import UsageMeter


class ChatCollector:
    """Collects one answer and renders it as one chat completion."""

    def __init__(self, head: Head, ask: ChatAsk) -> None:
        self._head = head
        self._legacy_calls = ask.legacy_calls
        self._meters = [UsageMeter(head.prompt_tokens) for _ in range(head.choices)]
        self._choices = [CollectedChoice(id_of(head.job, n)) for n in range(head.choices)]

    def feed(self, choice: int, events: Sequence[Event]) -> None:
        """Take the events of one record."""
        for event in events:
            self._meters[choice].observe(event)
        self._choices[choice].feed(events)

    def body(self) -> bytes:
        """Render the completion of an answer that has finished."""
        completion = {
            "id": f"chatcmpl-{self._head.job}",
            "object": "chat.completion",
            "created": self._head.created,
            "model": self._head.model,
            "choices": [
                self._rendered(index, choice) for index, choice in enumerate(self._choices)
            ],
            "usage": usage_of(self._meters),
        }
        return orjson.dumps(completion)

    def _rendered(self, index: int, choice: CollectedChoice) -> dict[str, Any]:
        return {
            "index": index,
            "message": message_of(choice, self._head.reasoning, legacy_calls=self._legacy_calls),
            "logprobs": None,
            "finish_reason": finish_reason(
                choice.finished, bool(choice.calls), legacy_calls=self._legacy_calls
            ),
        }


def message_of(
    choice: CollectedChoice, reasoning: ReasoningMode = "separate", *, legacy_calls: bool = False
) -> dict[str, Any]:
    """Return the message of one choice."""
    content, thoughts = choice.content(), choice.thoughts
    if thoughts and reasoning == "inline":
        content = f"{THINK}{thoughts}{THOUGHT}{content}"
    refusal = choice.refusal or None
    message: dict[str, Any] = {"role": "assistant", "content": content, "refusal": refusal}
    if thoughts and reasoning == "separate":
        message["reasoning_content"] = thoughts
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in choice.calls
    ]
    if calls and legacy_calls:
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    if calls or refusal:
        message["content"] = content or None
    return message


def finish_reason(finished: Finished, has_calls: bool, *, legacy_calls: bool = False) -> str:
    """Return the reason that fits the answer: agents run the tools of `tool_calls` only."""
    if finished.reason in ("stop", "tool_calls"):
        calls = "function_call" if legacy_calls else "tool_calls"
        return calls if has_calls else "stop"
    return finished.reason


def id_of(job: str, choice: int) -> str:
    """Return what makes the names of a choice's tool calls unique."""
    return f"{job}-{choice}" if choice else job
