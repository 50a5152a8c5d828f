"""How a failure looks to a client of OpenAI's API.

A status is also advice. OpenAI's SDKs send a request again by themselves after 408, 409, 429
and 5xx, and give up after any other 4xx; `x-should-retry` overrides both. So a failure that
another try cannot mend must not have a status that asks for one.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import NamedTuple

from contract.messages import Failed, FailureKind

_MAX_MESSAGE = 4_000
"""Characters. Escaped to ASCII they take at most 48,000 bytes, so an error fits one SSE line."""

_DEFAULT_RETRY_AFTER = 5.0
"""Seconds, for a 429 or 503 that does not know: clients expect the header on both."""


_MAX_PARAM = 256
"""Characters of a path that an error's message repeats."""
_MAX_QUOTED = 64
"""Characters of the client's own words that an error repeats."""

_CHAT_ONLY = "Set your client to chat completions, which are at /v1/chat/completions."
_NOT_OFFERED = {
    "responses": f"The Responses API is not offered here. {_CHAT_ONLY}",
    "messages": f"Anthropic's Messages API is not offered here. {_CHAT_ONLY}",
    "embeddings": "Poe has no embeddings, so this server has none either.",
    "audio": "Audio routes are not offered here; audio bots answer at /v1/chat/completions.",
    "videos": "Video routes are not offered here; video bots answer at /v1/chat/completions.",
    "images": "Of the images API, only /v1/images/generations is offered here.",
    "files": "This server keeps no files; send them in the messages, as parts of type `file`.",
    "uploads": "This server keeps no files; send them in the messages, as parts of type `file`.",
    "dashboard": "There is no billing here.",
    **dict.fromkeys(
        (
            "assistants",
            "batches",
            "conversations",
            "edits",
            "engines",
            "evals",
            "fim",
            "fine-tunes",
            "fine_tuning",
            "moderations",
            "organization",
            "realtime",
            "rerank",
            "threads",
            "vector_stores",
        ),
        "Poe offers nothing of the kind, so this server does not either.",
    ),
}
"""What to say of routes of other APIs that clients try on a server like this one."""


_ENDPOINTS = ("chat/completions", "completions", "images/generations", "models")
"""What a client adds to its base URL, and people therefore copy into it."""


class _Shape(NamedTuple):
    status: int
    type: str
    code: str
    param: str | None = None


_SHAPES = {
    FailureKind.INVALID_REQUEST: _Shape(400, "invalid_request_error", "invalid_request"),
    FailureKind.CONTEXT_TOO_LONG: _Shape(
        400, "invalid_request_error", "context_length_exceeded", "messages"
    ),
    FailureKind.CONTENT_REFUSED: _Shape(400, "invalid_request_error", "content_policy_violation"),
    FailureKind.MODEL_NOT_FOUND: _Shape(404, "invalid_request_error", "model_not_found", "model"),
    FailureKind.MODEL_NOT_ALLOWED: _Shape(403, "permission_error", "model_not_allowed", "model"),
    FailureKind.NO_POINTS: _Shape(402, "insufficient_quota", "insufficient_quota"),
    FailureKind.NO_TOKEN: _Shape(503, "server_error", "no_upstream_token"),
    FailureKind.RATE_LIMITED: _Shape(429, "rate_limit_error", "rate_limit_exceeded"),
    FailureKind.QUEUE_FULL: _Shape(429, "rate_limit_error", "queue_full"),
    FailureKind.QUEUE_TIMEOUT: _Shape(429, "rate_limit_error", "queue_timeout"),
    FailureKind.OVERLOADED: _Shape(503, "server_error", "overloaded"),
    FailureKind.UNAVAILABLE: _Shape(503, "server_error", "unavailable"),
    FailureKind.UPSTREAM_FAILED: _Shape(502, "server_error", "upstream_failed"),
    FailureKind.UPSTREAM_TIMEOUT: _Shape(504, "server_error", "upstream_timeout"),
    FailureKind.UPSTREAM_EMPTY: _Shape(502, "server_error", "upstream_empty"),
    FailureKind.INTERRUPTED: _Shape(502, "server_error", "interrupted"),
    # nginx's "client closed request"; seen only by one that asks for a cancelled job's answer.
    FailureKind.CANCELLED: _Shape(499, "invalid_request_error", "cancelled"),
    FailureKind.INTERNAL: _Shape(500, "server_error", "internal_error"),
}


@dataclass(eq=False)
class ApiError(Exception):
    """A request that is answered with an error of OpenAI's shape."""

    status: int
    type: str
    code: str | None
    message: str
    param: str | None = None
    """What in the request is at fault, as a path such as `messages[2].content`."""
    retry_after: float | None = None
    """Seconds after which another try may succeed."""
    should_retry: bool | None = None
    """Overrides what the status advises. None leaves it to the status."""
    allow: str = ""
    """The methods that the route takes, for a 405."""

    def __str__(self) -> str:
        return self.message


def error_body(error: ApiError) -> bytes:
    """Render the body. OpenAI's schema requires all four keys, null or not."""
    fields = {
        "message": error.message[:_MAX_MESSAGE],
        "type": error.type,
        "param": error.param,
        "code": error.code,
    }
    return json.dumps({"error": fields}, separators=(",", ":")).encode("ascii")


def error_headers(error: ApiError) -> list[tuple[str, str]]:
    """Return the headers, in lower case, that go with the error beside its content type.

    `retry-after` is whole seconds, rounded up and at least 1: Zed reads only integers.
    """
    headers = []
    if error.retry_after is not None and math.isfinite(error.retry_after):
        headers.append(("retry-after", str(max(1, math.ceil(error.retry_after)))))
    if error.should_retry is not None:
        headers.append(("x-should-retry", "true" if error.should_retry else "false"))
    if error.allow:
        headers.append(("allow", error.allow))
    return headers


def from_failed(failed: Failed, context_length: int | None = None) -> ApiError:
    """Translate a job's failure. `context_length` is the model's, in tokens, if known."""
    error = _of_kind(failed.kind, _message(failed, context_length), failed.retry_after)
    error.param = failed.param or error.param
    if failed.charged:
        error.should_retry = False
    return error


def _message(failed: Failed, context_length: int | None) -> str:
    match failed.kind:
        case FailureKind.NO_POINTS:
            # aider tries everything again, for minutes, except when an error's text has both
            # of these; litellm, which it uses, keeps nothing of the body but the message.
            return f'Insufficient credits ("code":402): {failed.message}'
        case FailureKind.CONTEXT_TOO_LONG if "maximum context length" not in failed.message:
            # litellm and agents tell an overlong conversation by OpenAI's opening words.
            known = f"{context_length} tokens" if context_length else "exceeded"
            return f"This model's maximum context length is {known}. {failed.message}"
        case _:
            return failed.message or "The request failed."


def _of_kind(kind: FailureKind, message: str, retry_after: float | None = None) -> ApiError:
    shape = _SHAPES[kind]
    if retry_after is None and shape.status in (429, 503):
        retry_after = _DEFAULT_RETRY_AFTER
    return ApiError(shape.status, shape.type, shape.code, message, shape.param, retry_after)


def invalid_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """400: the client must change its request."""
    return ApiError(400, "invalid_request_error", code, message, param)


def invalid_value(param: str | None, reason: str) -> ApiError:
    """400: what the field at the path `param` holds cannot be; None means the whole body."""
    message = f"Invalid '{(param or 'body')[:_MAX_PARAM]}': {reason}."
    return invalid_request(message, param, "invalid_value")


def missing(param: str) -> ApiError:
    """400: the request cannot do without the field at this path."""
    message = f"Missing required parameter: '{param}'."
    return invalid_request(message, param, "missing_required_parameter")


def quoted(words: str) -> str:
    """Return the client's own words as a message may repeat them."""
    return f"'{words[:_MAX_QUOTED]}'"


def invalid_idempotency_key() -> ApiError:
    """400 for an Idempotency-Key that is none."""
    message = "The header Idempotency-Key must be 1 to 255 printable ASCII characters."
    return invalid_request(message, "Idempotency-Key", "invalid_idempotency_key")


def idempotency_mismatch() -> ApiError:
    """422: the key was used for another request, which the client would get the answer of."""
    message = (
        "The header Idempotency-Key has been used with another request body."
        " Use a new key for each request, and the same one only to send it again."
    )
    return ApiError(
        422, "invalid_request_error", "idempotency_key_reused", message, "Idempotency-Key"
    )


def invalid_api_key() -> ApiError:
    """401. The key is not repeated: it may be another service's, and real."""
    # litellm takes a 401 that lacks OpenAI's opening words for a bad request.
    message = "Incorrect API key provided, or none. Send it as `Authorization: Bearer <your key>`."
    return ApiError(401, "invalid_request_error", "invalid_api_key", message)


def unknown_route(method: str, path: str) -> ApiError:
    """404 for a path that this server does not know."""
    message = f"Unknown request URL: {method[:16]} {path[:256]}."
    if advice := _advice([part for part in path.split("/") if part]):
        message += f" {advice}"
    return ApiError(404, "invalid_request_error", "unknown_url", message)


def _advice(parts: list[str]) -> str:
    match parts:
        case ["v1", "v1", *_]:
            return "The base URL has /v1 twice: your client adds it, or you did."
        case _ if endpoint := _endpoint_within(parts):
            return (
                f"The base URL ends in /v1: take {endpoint} off it, which your client adds itself."
            )
        case ["v1", name, *_] | [name, *_] if name in _NOT_OFFERED:
            return _NOT_OFFERED[name]
        case ["v1", *_]:
            return ""
        case _:
            return "The base URL ends in /v1."


def _endpoint_within(parts: list[str]) -> str:
    """Return the endpoint that a base URL ends in, so that something follows it; else nothing."""
    path = "/".join(part for part in parts if part != "v1") + "/"
    return next((f"/{each}" for each in _ENDPOINTS if path.startswith(f"{each}/")), "")


def model_not_found(message: str) -> ApiError:
    """404 for a model name that leads nowhere."""
    return _of_kind(FailureKind.MODEL_NOT_FOUND, message)


def method_not_allowed(method: str, allow: str) -> ApiError:
    """405. `allow` lists the route's methods, as in `GET, OPTIONS`."""
    message = f"This URL takes {allow}, not {method[:16]}."
    return ApiError(405, "invalid_request_error", "method_not_allowed", message, allow=allow)


def body_too_large(limit: int) -> ApiError:
    """413. `limit` is in bytes."""
    message = f"The request's body is larger than {limit / 2**20:g} MiB (the setting `maxBody`)."
    return ApiError(413, "invalid_request_error", "request_too_large", message)


def too_many_uploads() -> ApiError:
    """429: the bodies that one address is sending are too large together."""
    message = "Your address is sending too much at once. Let some requests arrive before the next."
    return ApiError(429, "rate_limit_error", "too_many_uploads", message, retry_after=5)


def uploads_full() -> ApiError:
    """503: the bodies that all addresses are sending are too large together."""
    message = "Too much is being sent to this server at once. Try again in a moment."
    return ApiError(503, "server_error", "overloaded", message, retry_after=5)


def too_many_wrong_keys(retry_after: float) -> ApiError:
    """429: no key from this address is looked at now. `retry_after` is in seconds."""
    message = "Too many wrong API keys came from your address. Wait before you try another."
    code = "too_many_wrong_keys"
    return ApiError(429, "rate_limit_error", code, message, retry_after=math.ceil(retry_after))


def foreign_host() -> ApiError:
    """403: without access tokens only this machine may ask, under its own name."""
    message = (
        "This server has no access tokens, so it does not answer under this Host, which a web page"
        " may have made up. Call it as localhost, set `accessTokens`, or list the name in"
        " `allowedHosts`."
    )
    return ApiError(403, "invalid_request_error", "forbidden_host", message, "Host")


def foreign_origin() -> ApiError:
    """403: without access tokens no other site's web pages may ask."""
    message = (
        "This server has no access tokens, so it does not answer web pages of this Origin. Set"
        " `accessTokens`, or list the page's host in `allowedHosts`."
    )
    return ApiError(403, "invalid_request_error", "forbidden_origin", message, "Origin")


def unsupported_encoding(encoding: str) -> ApiError:
    """415 for a request body that came compressed."""
    message = f"Content-Encoding {encoding[:64]!r} is not supported; send the body as it is."
    return ApiError(415, "invalid_request_error", "unsupported_encoding", message)


def queue_full(retry_after: float) -> ApiError:
    """429: as many requests wait as may. `retry_after` is in seconds."""
    message = "Too many requests are waiting for an answer already."
    return _of_kind(FailureKind.QUEUE_FULL, message, retry_after)


def storage_full(retry_after: float) -> ApiError:
    """429: as many bytes of requests are stored as may be. `retry_after` is in seconds."""
    message = (
        "Too many bytes of requests are waiting for an answer already (the settings `maxStored` and"
        " `maxStoredTotal`). Wait for one of yours to be answered, or send smaller ones."
    )
    return _of_kind(FailureKind.QUEUE_FULL, message, retry_after)


def too_large_to_store(limit: int) -> ApiError:
    """413: the request alone is larger than all that may be stored. `limit` is in bytes."""
    message = (
        f"The request is larger than the {limit / 2**20:g} MiB of requests that this API key may"
        " have at once (the settings `maxStored` and `maxStoredTotal`)."
    )
    return ApiError(413, "invalid_request_error", "request_too_large", message)


def too_many_choices(n: int, most: int) -> ApiError:
    """400: so many answers at once are never allowed, however long the client waits."""
    reason = (
        f"each of the {n} answers counts as a request, and this API key may have no more than"
        f" {most} at once"
    )
    return invalid_value("n", reason)


def queue_timeout(retry_after: float) -> ApiError:
    """429: the wait would be longer than the request may take. `retry_after` is in seconds."""
    message = "No upstream account becomes free before this request's deadline."
    return _of_kind(FailureKind.QUEUE_TIMEOUT, message, retry_after)


def rate_limited(retry_after: float) -> ApiError:
    """429: this client asks more often than it may. `retry_after` is in seconds."""
    message = "Rate limit reached for this API key."
    return _of_kind(FailureKind.RATE_LIMITED, message, retry_after)


def unavailable(message: str, retry_after: float = _DEFAULT_RETRY_AFTER) -> ApiError:
    """503: nobody can take the request now. `retry_after` is in seconds."""
    return _of_kind(FailureKind.UNAVAILABLE, message, retry_after)


def internal_error() -> ApiError:
    """500, without a word on what went wrong: that is for the log."""
    message = "The server had an error while processing your request."
    return _of_kind(FailureKind.INTERNAL, message)
