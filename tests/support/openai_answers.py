"""Renders answers in OpenAI's dialect like a gateway, without running one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from contract.messages import Event, Failed, Finished
from gateway.dialect import Encoder, Head
from gateway.openai import errors
from gateway.openai.chat_answer import ChatCollector
from gateway.openai.chat_request import ChatAsk
from gateway.openai.chat_stream import chat_encoder
from gateway.openai.completions import CompletionAsk, CompletionCollector, completion_encoder
from gateway.problems import Problem, problem_of
from gateway.render import openai_errors

_OF_THE_HEAD = {"job", "created", "model", "choices", "reasoning"}


def status_of(problem: Problem) -> int:
    return errors.reply(problem).status


def code_of(problem: Problem) -> str | None:
    return openai_errors._SHAPES[problem.kind].code if problem.code is None else problem.code


class Rendered:
    """Drives an encoder like a stream: frames until its end, and nothing after."""

    def __init__(self, encoder: Encoder, choices: int = 1) -> None:
        self._encoder = encoder
        self._unfinished = set(range(choices))
        self._failed = False
        self.finished = False

    def opening(self) -> list[str]:
        return [frame.data for frame in self._encoder.begin()]

    def feed(self, choice: int, events: Iterable[Event]) -> list[str]:
        if choice not in self._unfinished or self.finished:
            return []
        counted = _up_to_the_end(events)
        frames = self._encoder.feed(choice, counted)
        end = counted[-1] if counted else None
        if isinstance(end, Failed):
            self._failed = self.finished = True
            frames = frames + self._encoder.end(problem_of(end))
        elif isinstance(end, Finished):
            self._unfinished.discard(choice)
            self.finished = not self._unfinished
        return [frame.data for frame in frames]

    def ending(self) -> list[str]:
        return [] if self._failed else [frame.data for frame in self._encoder.end(None)]


def _up_to_the_end(events: Iterable[Event]) -> list[Event]:
    counted = []
    for event in events:
        counted.append(event)
        if isinstance(event, Finished | Failed):
            break
    return counted


def head(prompt_tokens: int = 7, **more: Any) -> Head:
    given = {"job": "1", "created": 1_700_000_000, "model": "m"} | more
    return Head(prompt_tokens=lambda: prompt_tokens, **given)


def chat_renderer(prompt_tokens: int = 7, **asked: Any) -> Rendered:
    parts = _parted(asked)
    encoder = chat_encoder(head(prompt_tokens, **parts[0]), ChatAsk("m", (), **parts[1]))
    return Rendered(encoder, asked.get("choices", 1))


def chat_collector(prompt_tokens: int = 7, **asked: Any) -> ChatCollector:
    parts = _parted(asked)
    return ChatCollector(head(prompt_tokens, **parts[0]), ChatAsk("m", (), **parts[1]))


def completion_renderer(prompt_tokens: int = 7, **asked: Any) -> Rendered:
    parts = _parted(asked)
    encoder = completion_encoder(
        head(prompt_tokens, **parts[0]), CompletionAsk("m", (), **parts[1])
    )
    return Rendered(encoder, asked.get("choices", 1))


def completion_collector(prompt_tokens: int = 7, **asked: Any) -> CompletionCollector:
    parts = _parted(asked)
    return CompletionCollector(head(prompt_tokens, **parts[0]), CompletionAsk("m", (), **parts[1]))


def _parted(asked: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is known of the answer, and what its dialect asks for."""
    of_the_head: Collection[str] = _OF_THE_HEAD
    return (
        {name: value for name, value in asked.items() if name in of_the_head},
        {name: value for name, value in asked.items() if name not in of_the_head},
    )
