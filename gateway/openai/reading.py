"""A request's body, whichever way of asking it belongs to, and what is worked out of it at once.

All of this takes a time that the body decides, so large ones are read in a child process.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec

from gateway.openai.completions import parse_completion
from gateway.openai.errors import ApiError
from gateway.openai.images import parse_images
from gateway.openai.request import ChatRequest, parse_chat
from gateway.render.usage import estimate_prompt

_PARSERS: dict[str, Callable[[bytes], ChatRequest]] = {
    "chat.completions": parse_chat,
    "completions": parse_completion,
    "images.generations": parse_images,
}

# The order of an object's members says nothing, and clients that send again may change it.
_canonical = msgspec.msgpack.Encoder(order="deterministic").encode


class _Outcome(msgspec.Struct, frozen=True, array_like=True):
    asked: ChatRequest | None = None
    refused: dict[str, Any] | None = None
    """The fields of the ApiError."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Outcome).decode


def read(kind: str, body: bytes) -> ChatRequest:
    """Return what a body asks for. Raises ApiError (400) that names the offending field.

    `kind` is one of chat.completions, completions and images.generations.
    """
    asked = _PARSERS[kind](body)
    return msgspec.structs.replace(
        asked,
        digest=_digest(kind, asked),
        prompt_tokens=estimate_prompt(asked.messages, asked.options.tools),
    )


def read_apart(data: bytes) -> bytes:
    """Do the same, of bytes to bytes: `runtime.offload` runs this in a child process."""
    kind, _, body = data.partition(b"\n")
    del data
    try:
        return _encode(_Outcome(read(kind.decode(), body)))
    except ApiError as error:
        return _encode(_Outcome(refused=dataclasses.asdict(error)))


def framed(kind: str, body: bytes) -> tuple[bytes, ...]:
    """Return what `read_apart` takes, in pieces."""
    return kind.encode(), b"\n", body


def outcome(answer: bytes) -> ChatRequest:
    """Return what `read_apart` has read. Raises the ApiError that it has met."""
    found = _decode(answer)
    if found.asked is None:
        raise ApiError(**(found.refused or {}))
    return found.asked


def _digest(kind: str, asked: ChatRequest) -> str:
    """What makes two requests the same; streamed or not is no difference."""
    return sha256(
        _canonical((kind, asked.model, asked.messages, asked.options, asked.n))
    ).hexdigest()
