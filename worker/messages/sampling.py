"""What Anthropic's models refuse in sentences, not by a place: how to sample, think and end.

Sources: the API's errors as users report them.

    `temperature` and `top_p` cannot both be specified for this model. Please use only one.
    `temperature` may only be set to 1 when thinking is enabled.
    `top_k` must be unset when thinking is enabled.
    max_tokens: 64000 > 32000, which is the maximum allowed number of output tokens for claude-x
    This model does not support the effort parameter.
    adaptive thinking is not supported on this model

The first four depend on the rest of the request, so they are not learned of a model.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

import msgspec

from worker.poe.raw_json import Path
from worker.poe.refused import OF_JOB

_SAMPLED = re.compile(
    r"`(?:\w+` and `)?(?P<name>temperature|top_p|top_k)`"
    r" (?:cannot both|may only be|must be|is deprecated|is not supported|does not support)"
).match
_LONGEST = re.compile(r"max_tokens: \d{1,12} > (?P<most>[1-9]\d{0,11}), which is the maximum").match
_SENTENCES: tuple[tuple[str, Path], ...] = (
    ("This model does not support the effort parameter", ("output_config", "effort")),
    ("adaptive thinking is not supported on this model", ("thinking", "=adaptive")),
)
_MAX_TOKENS = "max_tokens"


class _Asked(msgspec.Struct):
    max_tokens: float = 0
    temperature: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    top_p: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    top_k: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_asked = msgspec.json.Decoder(_Asked).decode


def refused(body: bytes, message: str) -> Path | None:
    """Return what an error refuses, if the request has it. Raises msgspec.DecodeError."""
    if found := _SAMPLED(message):
        has_it = getattr(_asked(body), found["name"]) is not msgspec.UNSET
        return (OF_JOB, found["name"]) if has_it else None
    if found := _LONGEST(message):
        is_less = int(found["most"]) < _asked(body).max_tokens
        return (OF_JOB, _MAX_TOKENS, found["most"]) if is_less else None
    known = (path for words, path in _SENTENCES if message.startswith(words))
    return next((path for path in known if f'"{path[0]}"'.encode() in body), None)


def left_out(without: Collection[Path]) -> Iterator[Path]:
    """Return the paths in a request that these refusals stand for."""
    for path in without:
        if path[0] == OF_JOB and path[-1] in ("temperature", "top_p", "top_k"):
            yield path[1:]


def most_tokens(without: Collection[Path]) -> dict[str, bytes]:
    """Return the member that says how long an answer of the model may be at most, if it has."""
    found = [int(path[2]) for path in without if path[:2] == (OF_JOB, _MAX_TOKENS)]
    return {_MAX_TOKENS: b"%d" % min(found)} if found else {}
