"""Legacy completions: a prompt in, its continuation out.

To a bot the prompt is a message like any other. What the old API could ask for beyond that is
refused if an answer without it would mislead (`suffix`, `logprobs`, several prompts), and
ignored otherwise. Its limit of 16 tokens, where none is asked for, is not kept: every client of
today means none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from json.encoder import encode_basestring_ascii as quote
from typing import Any

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
from gateway.openai import fields as schema
from gateway.openai.chunks import in_pieces
from gateway.openai.errors import error_body, from_failed, invalid_request, missing
from gateway.openai.request import (
    ChatRequest,
    continues_usage,
    includes_usage,
    model_of,
    refuse_logprobs,
    sampling,
)
from gateway.openai.response import CollectedChoice, Head, StreamRenderer
from gateway.render.append_only import AppendOnly
from gateway.render.body import decode, whole
from gateway.render.file_links import Attachments
from gateway.render.usage import UsageMeter, total


def parse_completion(body: bytes) -> ChatRequest:
    """Parse a request's body. Raises ApiError (400) that names the offending field."""
    asked, extra = decode(body, schema.Completion)
    prompt = _prompt(asked.prompt)
    refuse_logprobs(bool(asked.logprobs))
    if asked.suffix:
        raise _unsupported("suffix", "a bot cannot be told what its answer shall be followed by")
    return ChatRequest(
        model=model_of(asked.model),
        messages=(Message("user", prompt),),
        options=sampling(asked, extra),
        stream=bool(asked.stream),
        include_usage=includes_usage(asked),
        n=whole(asked.n, "n") or 1,
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
            raise _unsupported("prompt", "one request takes one prompt; send several requests")
        case _:
            raise _unsupported("prompt", "token ids mean nothing to a bot; send text")


def _unsupported(param: str, reason: str) -> Exception:
    return invalid_request(f"Invalid '{param}': {reason}.", param, "unsupported_value")


def completion_renderer(head: Head) -> StreamRenderer:
    """Return what renders one answer as the JSON of chunks."""
    return StreamRenderer(head, [_StreamedChoice(head, choice) for choice in range(head.choices)])


class _StreamedChoice:
    def __init__(self, head: Head, choice: int) -> None:
        self._head = head
        self._opening = f'{_opening(head)}[{{"index":{choice},"logprobs":null,"text":'
        self._echo = head.echo
        self._text = AppendOnly()
        self._files = Attachments()
        self._run: list[str] = []

    def render(self, event: Event) -> list[str]:
        if is_output(event) and not isinstance(event, Failed):
            self._run.append(self._echo)
            self._echo = ""
        self._run.append(self._text_of(event))
        end = self._end_of(event)
        return [*self.end_run(), *end] if end else []

    def end_run(self) -> list[str]:
        text = "".join(self._run)
        self._run.clear()
        return in_pieces(self._opening, text, ',"finish_reason":null}]}') if text else []

    def usage(self, fields: Mapping[str, Any]) -> str:
        return f'{_opening(self._head)}[],"usage":{_json(fields)}}}'

    def _text_of(self, event: Event) -> str:
        match event:
            case Text():
                return self._files.resolve(self._text.append(event.text))
            case Replaced():
                return self._files.resolve(self._text.replace(event.text))
            case Refusal():
                return event.text
            case File():
                self._files.add(event)
            case Finished() | Failed():
                return self._files.close(self._text.sent)
        return ""

    def _end_of(self, event: Event) -> list[str]:
        match event:
            case Finished():
                reason = quote(_legal(event.reason))
                return [f'{self._opening}"","finish_reason":{reason}}}]}}']
            case Failed():
                return [error_body(from_failed(event)).decode("ascii")]
        return []


class CompletionCollector:
    """Collects one answer and renders it as one completion. Takes the same as StreamRenderer."""

    def __init__(self, head: Head) -> None:
        self._head = head
        self._meters = [UsageMeter(head.prompt_tokens) for _ in range(head.choices)]
        self._choices = [CollectedChoice(head.job) for _ in range(head.choices)]

    def feed(self, choice: int, events: Iterable[Event]) -> None:
        for event in events:
            self._meters[choice].observe(event)
            self._choices[choice].collect(event)

    def body(self) -> bytes:
        """Render the completion. Only a finished answer that has not failed has one."""
        choices = [
            {
                "index": index,
                "text": self._head.echo + _text(choice),
                "logprobs": None,
                "finish_reason": _legal(choice.finish_reason),
            }
            for index, choice in enumerate(self._choices)
        ]
        usage = _json(total(self._meters))
        return f'{_opening(self._head)}{_json(choices)},"usage":{usage}}}'.encode("ascii")


def _text(choice: CollectedChoice) -> str:
    message = choice.message()
    return (message["content"] or "") + (message["refusal"] or "")


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
