"""Reads Poe's errors: HTTP statuses with their bodies, and `error` events.

Poe documents two shapes of an error body, `{"error": {"code": 429, "type", "message"}}` and
`{"error": {"message", "type", "code": "rate_limit_exceeded"}}`; wraps a provider's error as a
JSON string inside `message`; and proxies on the way answer in HTML. Which statuses the bot API
uses is documented nowhere, and it often says 200 and sends an `error` event. So a fault is
recognised by three signs, the most telling first: words in the text, the code, the type. A
status limits what its signs may mean: a 400 that quotes the words "rate limit" is still a 400.
What comes behind a status of 200 is in band: any bot can say it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from worker.poe.faults import Fault, FaultKind
from worker.poe.lenient_json import object_of, parse, string_of
from worker.poe.limits import limits_from, retry_after

_K = FaultKind

LONGEST_MESSAGE = 500
"""Characters of Poe's text that are passed on: enough to name a field, not to fill a log."""

# Sources: the error types of fastapi_poe, the tables of creator.poe.com/api-reference/errors
# and of its OpenAI-compatible API, and Anthropic's error types. The set is open.
_CODES = {
    "user_message_too_long": _K.TOO_LONG,
    "insufficient_fund": _K.NO_POINTS,
    "user_caused_error": _K.BAD_REQUEST,
    "privacy_authorization_error": _K.NOT_ENTITLED,
    "subscription_required": _K.NOT_ENTITLED,
    "permission_error": _K.NOT_ENTITLED,
    "billing_error": _K.NO_POINTS,
    "invalid_api_key": _K.BAD_KEY,
    "authentication_error": _K.BAD_KEY,
    "insufficient_credits": _K.NO_POINTS,
    "insufficient_quota": _K.NO_POINTS,
    "insufficient_points": _K.NO_POINTS,
    "rate_limit_exceeded": _K.RATE_LIMITED,
    "rate_limit_error": _K.RATE_LIMITED,
    "model_not_found": _K.MODEL_NOT_FOUND,
    "not_found_error": _K.MODEL_NOT_FOUND,
    "moderation_error": _K.CONTENT_REFUSED,
    "request_too_large": _K.TOO_LONG,
    "context_length_exceeded": _K.TOO_LONG,
    "overloaded_error": _K.OVERLOADED,
    "timeout_error": _K.TIMEOUT,
    "invalid_request_error": _K.BAD_REQUEST,
    "invalid_parameter": _K.BAD_REQUEST,
    "missing_parameter": _K.BAD_REQUEST,
    # OpenAI's, of a response that has failed.
    "invalid_prompt": _K.BAD_REQUEST,
    "image_content_policy_violation": _K.CONTENT_REFUSED,
    **dict.fromkeys(
        (
            *("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url"),
            *("image_too_large", "image_too_small", "image_parse_error", "invalid_image_mode"),
            *("image_file_too_large", "unsupported_image_media_type", "empty_image_file"),
            *("failed_to_download_image", "image_file_not_found"),
        ),
        _K.BAD_REQUEST,
    ),
}

# Texts seen in the field. "Internal server error" says nothing, so it is not here.
_WORDS = [
    (_K.NO_POINTS, r"needs more points|not have enough points|used up your points"),
    (_K.NO_POINTS, r"insufficient (?:points|funds|credits|quota)"),
    (_K.NO_API_ACCESS, r"not support api access|not available (?:over|via|through) the api"),
    (_K.NOT_ENTITLED, r"\bsubscription\b|access denied"),
    (_K.MODEL_NOT_FOUND, r"\b(?:bot|model)\b.{0,80}\b(?:does not exist|not found)"),
    (_K.BAD_KEY, r"(?:invalid|incorrect|expired|revoked) (?:token|api key)|\bunauthorized\b"),
    (_K.RATE_LIMITED, r"\brate limit|\btoo many requests"),
    (_K.TOO_LONG, r"\btoo long\b|\bcontext (?:length|window)|too many tokens"),
    (_K.OVERLOADED, r"\boverloaded\b"),
    (_K.CONTENT_REFUSED, r"\bmoderation\b|content (?:policy|filter)|usage (?:policy|guidelines)"),
]
_WORDS_IN_TEXT = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in _WORDS]

# What a status means by itself, and what its body may make of it.
_STATUSES: dict[int, tuple[FaultKind, set[FaultKind]]] = {
    400: (
        _K.BAD_REQUEST,
        {_K.TOO_LONG, _K.MODEL_NOT_FOUND, _K.CONTENT_REFUSED, _K.NO_POINTS, _K.NOT_ENTITLED}
        | {_K.NO_API_ACCESS},
    ),
    401: (_K.BAD_KEY, {_K.NOT_ENTITLED, _K.NO_API_ACCESS}),
    402: (_K.NO_POINTS, {_K.NOT_ENTITLED}),
    403: (
        _K.NOT_ENTITLED,
        {_K.NOT_ENTITLED, _K.CONTENT_REFUSED, _K.NO_POINTS, _K.NO_API_ACCESS},
    ),
    404: (_K.MODEL_NOT_FOUND, {_K.NO_API_ACCESS}),
    407: (_K.UNREACHABLE, set()),
    408: (_K.TIMEOUT, set()),
    413: (_K.TOO_LONG, set()),
    422: (_K.BAD_REQUEST, {_K.TOO_LONG, _K.MODEL_NOT_FOUND}),
    429: (_K.RATE_LIMITED, {_K.NO_POINTS, _K.OVERLOADED}),
    # Poe's own words: a 500 is a fault of the provider or an invalid request.
    500: (_K.UPSTREAM_DOWN, {_K.BAD_REQUEST, _K.TOO_LONG, _K.CONTENT_REFUSED, _K.OVERLOADED}),
    503: (_K.UPSTREAM_DOWN, {_K.OVERLOADED}),
    504: (_K.TIMEOUT, set()),
    529: (_K.OVERLOADED, set()),
}

# Kinds whose text is about the request, so its sender needs it. The rest is the operator's
# affair (accounts, points, subscriptions) or says nothing ("Internal server error").
_TEXT_PASSED_ON = {_K.BAD_REQUEST, _K.TOO_LONG, _K.CONTENT_REFUSED}


def from_status(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Fault:
    """Return the fault that a status other than 200 stands for.

    Header names are in lower case; `now` is Unix time in seconds.

    `body` may be cut short or be anything at all.
    """
    if status == 403 and body.lstrip().startswith(b"<"):
        # A proxy on the way refuses us; the token is not to blame.
        return Fault(_K.UPSTREAM_DOWN)
    text, signs = _read_body(body)
    own, refinements = _STATUSES.get(status) or _by_class(status)
    kind = next((sign for sign in _meanings(text, signs) if sign in refinements), own)
    message, rest = _passed_on(kind, text), _rest(kind, headers, now)
    in_band = status // 100 == 2
    return Fault(kind, message, rest, allow_retry=not in_band, in_band=in_band)


def from_error_event(data: bytes | str) -> Fault:
    """Return the fault that an `error` event stands for; its data may be anything at all."""
    fields = object_of(parse(data))
    text = string_of(fields.get("text")) or string_of(fields.get("raw_response"))
    signs = [fields.get("error_type")]
    kind = next(_meanings(text, signs), _K.UPSTREAM_DOWN)
    allow_retry = fields.get("allow_retry") is not False
    if kind is _K.BAD_KEY and allow_retry:
        # A wrong key never deserves a retry, so this is about a key of the bot's own.
        kind = _K.UPSTREAM_DOWN
    return Fault(kind, _passed_on(kind, text), allow_retry=allow_retry, in_band=True)


def from_late_error(data: bytes) -> Fault:
    """Return the fault that ends a stream of chunks: the body of an HTTP error, without a status.

    This dialect has no `allow_retry`, so none is allowed.
    """
    text, signs = _read_body(data)
    status = next((sign for sign in signs if isinstance(sign, int) and 400 <= sign <= 599), None)
    if status is not None:
        fault = from_status(status, {}, data, 0.0)
        return Fault(fault.kind, fault.message, allow_retry=False, in_band=True)
    kind = next(_meanings(text, signs), _K.UPSTREAM_DOWN)
    return Fault(kind, _passed_on(kind, text), allow_retry=False, in_band=True)


def _by_class(status: int) -> tuple[FaultKind, set[FaultKind]]:
    match status // 100:
        case 4:
            return _K.BAD_REQUEST, set()
        case 5:
            return _K.UPSTREAM_DOWN, set()
        case 2:
            # An error with a good status: only its body can tell.
            return _K.PROTOCOL, set(FaultKind)
        case _:
            return _K.PROTOCOL, set()


def _meanings(text: str, signs: list[object]) -> Iterator[FaultKind]:
    # Words before types: `moderation_error` also stands on missing subscriptions, and
    # `invalid_request_error` on nearly everything.
    yield from (kind for kind, words in _WORDS_IN_TEXT if words.search(text))
    yield from (_CODES[sign] for sign in signs if isinstance(sign, str) and sign in _CODES)


def _read_body(body: bytes) -> tuple[str, list[object]]:
    fields = object_of(parse(body))
    error = fields.get("error", fields)
    if isinstance(error, str):
        return _innermost(error), []
    error = object_of(error)
    message = string_of(error.get("message")) or string_of(error.get("text"))
    return _innermost(message), [error.get("code"), error.get("type"), error.get("error_type")]


def _innermost(message: str) -> str:
    """Unwrap a message that is itself an error body, up to two levels."""
    for _ in range(2):
        fields = object_of(parse(message))
        inner = object_of(fields.get("error", fields)).get("message")
        if not isinstance(inner, str):
            break
        message = inner
    return message


def _passed_on(kind: FaultKind, text: str) -> str:
    if kind not in _TEXT_PASSED_ON or text.lstrip().startswith("<"):
        return ""
    return " ".join(text.split())[:LONGEST_MESSAGE]


def _rest(kind: FaultKind, headers: Mapping[str, str], now: float) -> float | None:
    seconds = retry_after(headers, now)
    if seconds is None and kind is _K.RATE_LIMITED and (limits := limits_from(headers)):
        return limits.reset
    return seconds
