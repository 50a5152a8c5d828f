"""One question to a gateway, and its answer as the page reads it. Pure.

The gateway is asked as any client asks it: chat completions, streamed. The page gets lines of JSON,
each an object with a `kind`, so that its script has no protocol to parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from contract.ledger import Request

_PLACE = re.compile(rb": keep-alive queued(?: position=(\d+))?(?: eta=(\d+)s)?")
_JOB = re.compile(r"chatcmpl-([0-9a-f]+)", re.ASCII)

MOST_BYTES = 16 * 1024 * 1024
"""Bytes of one event of the gateway's: more than an answer has."""


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the page's form says."""

    model: Annotated[str, Meta(min_length=1, max_length=200)]
    prompt: Annotated[str, Meta(min_length=1, max_length=15_000)]
    system: Annotated[str, Meta(max_length=5_000)] = ""
    secret: Annotated[str, Meta(max_length=500)] = ""
    """The access token to ask with; empty: none."""
    own: bool = False
    """Whether to ask with the page's own key instead."""

    def __repr__(self) -> str:
        return f"Question({self.model!r})"

    def body(self) -> dict[str, Any]:
        """Return the request for the gateway."""
        messages = [{"role": "user", "content": self.prompt}]
        if self.system:
            messages.insert(0, {"role": "system", "content": self.system})
        return {
            "model": self.model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(msgspec.Struct, frozen=True):
    id: str = ""
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: dict[str, Any] | None = None


class Reading:
    """Reads a streamed answer, given in pieces of any size."""

    def __init__(self) -> None:
        self.job = ""
        """The answer's job, once it is known."""
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Yield what the page is told. Raises ValueError for what is no such stream."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        if len(self._buffer) > MOST_BYTES:
            raise ValueError("an event of the gateway's is too large")
        for line in lines:
            if line.startswith(b"data: {"):
                yield from self._told(msgspec.json.decode(line[6:], type=_Chunk))
            elif place := _PLACE.match(line):
                yield queued(place)

    def _told(self, chunk: _Chunk) -> Iterator[dict[str, Any]]:
        if found := _JOB.match(chunk.id):
            self.job = found[1]
        if chunk.error:
            yield failure(chunk.error)
        for choice in chunk.choices:
            yield from _of_choice(choice)
        if usage := chunk.usage:
            tokens = usage.prompt_tokens, usage.completion_tokens
            yield {"kind": "tokens", "prompt": tokens[0], "completion": tokens[1]}


def _of_choice(choice: _Choice) -> Iterator[dict[str, Any]]:
    delta = choice.delta or _Delta()
    if delta.reasoning_content:
        yield {"kind": "thought", "text": delta.reasoning_content}
    if text := delta.content or delta.refusal:
        yield {"kind": "text", "text": text}
    if choice.finish_reason:
        yield {"kind": "end", "reason": choice.finish_reason}


def queued(place: re.Match[bytes]) -> dict[str, Any]:
    """Return what the page is told of a question that waits."""
    position, eta = (None if each is None else int(each) for each in place.groups())
    return {"kind": "queued", "position": position, "eta": eta}


def failure(error: Any, status: int = 0) -> dict[str, Any]:
    """Return what the page is told of an error of the gateway's, in OpenAI's shape or in none."""
    told = error if isinstance(error, dict) else {}
    return {
        "kind": "error",
        "status": status,
        "code": told.get("code") or told.get("type") or "",
        "message": str(told.get("message") or "The gateway gave no reason."),
    }


def refused(status: int, body: bytes) -> dict[str, Any]:
    """Return what the page is told of a question that the gateway has refused."""
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        said = {}
    return failure(said.get("error"), status)


def cost(record: Request) -> dict[str, Any]:
    """Return what the page is told of what an answer has cost."""
    return {
        "kind": "cost",
        "estimated": record.estimated,
        "settled": record.settled,
        "basis": record.basis,
        "account": record.account,
        "wait": record.wait / 1000,
        "duration": record.duration / 1000,
        "outcome": record.outcome,
    }
