"""Prepares a client's own request for `POST /v1/messages`: all of it stays as it is, but

- the model has the name that Poe knows it by;
- the answer is always asked for as a stream, because `timeout` bounds silence;
- what Poe is known to refuse, or the model has refused before, is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress

import msgspec

from contract.messages import Job, Native
from worker.messages import sampling, system_roles, thoughts
from worker.messages.system_roles import messages_of
from worker.poe.faults import Fault, FaultKind
from worker.poe.raw_json import Path, edited
from worker.poe.refused import is_forged, may_be_refusal, refused_fields
from worker.poe.upstream import Ask, Request

PATH = "/v1/messages"

VERSION = ("anthropic-version", "2023-06-01")
"""The only one that Poe documents (creator.poe.com, createMessage)."""

_BETA = "anthropic-beta"
_UNEXPECTED_BETAS = "Unexpected value(s) `"
_QUOTED = re.compile("`([^`]*)`")
_IS_BETA = re.compile(r"[\w.:/-]+", re.ASCII).fullmatch

_REFUSED: tuple[Path, ...] = (("context_management",),)
"""What Poe answers with a 400, of what every Claude Code sends (YishenTu/claudian, issue 522)."""


def request_of(ask: Ask) -> Request:
    """Prepare the request. Raises Fault for a job without a native request."""
    native = native_of(ask.job)
    if native is None:
        raise Fault(FaultKind.BAD_REQUEST, "Only Anthropic's API is passed on there.", sent=False)
    values = {"model": msgspec.json.encode(ask.job.model), "stream": b"true"}
    values |= sampling.most_tokens(ask.without)
    try:
        without = {*_REFUSED, *ask.without}
        without |= {*thoughts.left_out(ask.without), *sampling.left_out(ask.without)}
        body = edited(b"".join(native.body), values, without=without)
        if any(map(_is_block, without)):
            body = _without_empty(body)
        if system_roles.REFUSED in ask.without:
            body = system_roles.said_by_user(body)
    except (msgspec.DecodeError, RecursionError):
        message = "The request's body cannot be passed on."
        raise Fault(FaultKind.BAD_REQUEST, message, sent=False) from None
    return Request(PATH, body, headers=(VERSION, *_betas(native, ask.without)))


def refused(ask: Ask, message: str) -> frozenset[Path]:
    """Return what of a call a 400 with this message refuses, and the job can do without."""
    native = native_of(ask.job)
    if native is None or not may_be_refusal(message):
        return frozenset()
    # What is left out already has moved what is behind it: places are those of the body as sent.
    body = request_of(ask).body
    if is_forged(body):
        return frozenset()
    if message.startswith(_UNEXPECTED_BETAS):
        named = set(_QUOTED.findall(message))
        return frozenset((_BETA, beta) for beta in _betas_in(native) if beta in named)
    path = _by_sentence(body, message)
    return frozenset({path}) if path else refused_fields(body, message)


def _by_sentence(body: bytes, message: str) -> Path | None:
    """Return what is refused in words of its own."""
    with suppress(msgspec.DecodeError):
        if system_roles.are_refused(body, message):
            return system_roles.REFUSED
        return sampling.refused(body, message) or thoughts.refused(body, message)
    return None


def native_of(job: Job) -> Native | None:
    """Return the job in Anthropic's dialect, if its client speaks that."""
    return job.native if job.native and job.native.path == PATH else None


def _betas(native: Native, without: frozenset[Path]) -> Iterable[tuple[str, str]]:
    if left := [beta for beta in _betas_in(native) if (_BETA, beta) not in without]:
        yield _BETA, ",".join(left)


def _betas_in(native: Native) -> Iterable[str]:
    given = ",".join(value for name, value in native.headers if name == _BETA)
    return filter(_IS_BETA, map(str.strip, given.split(",")))


def _is_block(path: Path) -> bool:
    """Return whether a path stands for whole blocks of messages."""
    return path[0] == "messages" and path[-2] == "content" and path[-1].startswith("=")


def _without_empty(body: bytes) -> bytes:
    """Return the request without messages of which no block is left: Poe takes none."""
    kept = [each for each in messages_of(body) if not _is_empty(each)]
    return edited(body, {"messages": msgspec.json.encode(kept)})


def _is_empty(message: msgspec.Raw) -> bool:
    return b"[]" in bytes(message) and msgspec.json.decode(message).get("content") == []
