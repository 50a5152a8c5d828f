"""Legacy completions: a prompt in, its continuation out.

To a bot the prompt is a message like any other. What the old API offers beyond that is refused if
an answer without it would mislead (`suffix`, `logprobs`, several prompts), and ignored otherwise.
Its default limit of 16 tokens is not kept: a client of today that sets none means none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring_ascii as quote
from typing import Any

import orjson

from contract.messages import (
    Event,
    Failed,
    File,
    Finished,
    Message,
    Refusal,
    Replaced,
    Text,
    is_output,
)
from gateway.dialect import Ask, Head
from gateway.openai import fields
from gateway.openai.chat_request import (
    continues_usage,
    includes_usage,
    refuse_logprobs,
    sampling,
)
from gateway.openai.chat_stream import ChunkEncoder
from gateway.openai.chunks import in_pieces
from gateway.openai.usage import usage_of
from gateway.problems import missing, unsupported_value
from gateway.render.answer_text import AnswerText
from gateway.render.body import decode, whole
from gateway.render.collected import CollectedChoice
from gateway.render.parameters import model_name
from gateway.render.usage import UsageMeter


class CompletionAsk(Ask, frozen=True):
    """What a client of legacy completions asks for."""

    include_usage: bool = False
    """Whether a stream ends with the token counts."""
    continuous_usage: bool = False
    """Whether every chunk of a stream has the token counts so far."""
    echo: str = ""
    """What the completion begins with: the prompt, if the client wants it back."""


def parse_completion(body: bytes) -> CompletionAsk:
    """Parse a request's body. Raises Problem that names the offending field."""
    asked, extra = decode(body, fields.Completion)
    prompt = _prompt(asked.prompt)
    refuse_logprobs(bool(asked.logprobs))
    if asked.suffix:
        raise unsupported_value(
            "suffix", "a bot cannot be told what its answer shall be followed by"
        )
    return CompletionAsk(
        model=model_name(asked.model),
        messages=(Message("user", prompt),),
        options=sampling(asked, extra),
        stream=bool(asked.stream),
        choices=whole(asked.n, "n") or 1,
        include_usage=includes_usage(asked),
        continuous_usage=continues_usage(asked),
        echo=prompt if asked.echo else "",
    )


def _prompt(prompt: str | list[Any] | None) -> str:
    match prompt:
        case str() | [str()]:
            return prompt if isinstance(prompt, str) else str(prompt[0])
        case None | []:
            raise missing("prompt")
        case [str(), *_]:
            reason = "one request takes one prompt; send several requests"
            raise unsupported_value("prompt", reason)
        case _:
            raise unsupported_value("prompt", "token ids mean nothing to a bot; send text")


def completion_encoder(head: Head, ask: CompletionAsk) -> ChunkEncoder:
    """Return what renders one answer as the chunks of legacy completions."""
    return ChunkEncoder(
        head,
        [CompletionChoice(head, choice, ask.echo) for choice in range(head.choices)],
        include_usage=ask.include_usage,
        continuous_usage=ask.continuous_usage,
    )


class CompletionChoice:
    """Renders one choice of a stream."""

    def __init__(self, head: Head, choice: int, echo: str) -> None:
        self._head = head
        self._opening = f'{_opening(head)}[{{"index":{choice},"logprobs":null,"text":'
        self._echo = echo
        self._text = AnswerText()

    def begin(self) -> list[str]:
        """Return nothing: no chunk has a role here."""
        return []

    def feed(self, events: Sequence[Event]) -> list[str]:
        """Return the chunks that the events of one record add."""
        text = "".join([self._text_of(event) for event in events])
        chunks = in_pieces(self._opening, text, ',"finish_reason":null}]}') if text else []
        if events and isinstance(end := events[-1], Finished):
            reason = quote(_legal(end.reason))
            chunks.append(f'{self._opening}"","finish_reason":{reason}}}]}}')
        return chunks

    def usage(self, fields: Mapping[str, Any]) -> str:
        """Return the chunk with the token counts."""
        return f'{_opening(self._head)}[],"usage":{_json(fields)}}}'

    def _text_of(self, event: Event) -> str:
        if self._echo and is_output(event) and not isinstance(event, Failed):
            echo, self._echo = self._echo, ""
            return echo + self._text_of(event)
        match event:
            case Text():
                return self._text.append(event.text)
            case Replaced():
                return self._text.replace(event.text)
            case Refusal():
                return event.text
            case File():
                self._text.add(event)
            case Finished() | Failed():
                return self._text.close()
        return ""


class CompletionCollector:
    """Collects one answer and renders it as one completion."""

    def __init__(self, head: Head, ask: CompletionAsk) -> None:
        self._head = head
        self._echo = ask.echo
        self._meters = [UsageMeter(head.prompt_tokens) for _ in range(head.choices)]
        self._choices = [CollectedChoice(head.job) for _ in range(head.choices)]

    def feed(self, choice: int, events: Sequence[Event]) -> None:
        """Take the events of one record."""
        for event in events:
            self._meters[choice].observe(event)
        self._choices[choice].feed(events)

    def body(self) -> bytes:
        """Render the completion of an answer that has finished."""
        choices = [
            {
                "index": index,
                "text": self._echo + choice.content() + choice.refusal,
                "logprobs": None,
                "finish_reason": _legal(choice.finished.reason),
            }
            for index, choice in enumerate(self._choices)
        ]
        completion = {
            "id": f"cmpl-{self._head.job}",
            "object": "text_completion",
            "created": self._head.created,
            "model": self._head.model,
            "choices": choices,
            "usage": usage_of(self._meters),
        }
        return orjson.dumps(completion)


def _legal(reason: str) -> str:
    """Return a reason that completions have: no tools can have been called."""
    return "stop" if reason == "tool_calls" else reason


def _opening(head: Head) -> str:
    return (
        f'{{"id":{quote(f"cmpl-{head.job}")},"object":"text_completion"'
        f',"created":{head.created},"model":{quote(head.model)},"choices":'
    )


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
