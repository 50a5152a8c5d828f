"""What is known of an answer before it comes, here and as it is kept."""

from __future__ import annotations

from typing import Any

import msgspec

from contract.codec import encode
from contract.config import ReasoningMode, model_settings
from contract.messages import Job, Options
from gateway.config import GatewayConfig
from gateway.dialect import Ask, Head
from gateway.exchange.bodies import prompt_tokens


class _Kept(msgspec.Struct, frozen=True):
    """What it takes to render an answer at any gateway, always in the same way."""

    created: int
    """Unix time in seconds."""
    bot: str
    """What the upstream calls the model."""
    reasoning: ReasoningMode
    prompt_tokens: int
    ask: msgspec.Raw
    """The request without its conversation and its options."""


def reasoning_of(config: GatewayConfig, ask: Ask, job: Job) -> ReasoningMode:
    """Return how a client is told what the model of its request thinks."""
    return model_settings(config.models, job.model, ask.model).reasoning


def written(ask: Ask, job: Job, reasoning: ReasoningMode) -> bytes:
    """Return what is kept of a request to render its answer."""
    bare = msgspec.structs.replace(ask, messages=(), options=Options(), native=None, digest="")
    if ask.keep is not None:
        bare = msgspec.structs.replace(bare, keep=msgspec.structs.replace(ask.keep, items=b""))
    kept = _Kept(
        created=int(job.created),
        bot=job.model,
        reasoning=reasoning,
        prompt_tokens=prompt_tokens(ask),
        ask=msgspec.Raw(encode(bare)),
    )
    return encode(kept)


def read(kept: bytes, job: str, ask: type[Any]) -> tuple[Head, Any, str]:
    """Return what `written` has kept of a job's request, and its model's name at the upstream.

    Raises msgspec.DecodeError for what another version has written in a way that cannot be read.
    """
    found = msgspec.msgpack.decode(kept, type=_Kept)
    asked = msgspec.msgpack.decode(found.ask, type=ask)
    head = Head(
        job=job,
        created=found.created,
        model=asked.model,
        prompt_tokens=lambda: found.prompt_tokens,
        choices=asked.choices,
        reasoning=found.reasoning,
    )
    return head, asked, found.bot
