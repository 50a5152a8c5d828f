"""What can go wrong with a request, in the words of no dialect.

A `Problem` is raised anywhere; the dialect of the path that was asked gives it a status and a body.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from contract.messages import Failed, FailureKind

_MAX_PARAM = 256
"""Characters of a path that a message repeats."""
_MAX_QUOTED = 64
"""Characters of the client's own words that a message repeats."""


class Kind(enum.StrEnum):
    """What went wrong. The set is closed: a dialect has a status for each."""

    # On the way in, found by the gateway.
    BAD_REQUEST = "bad_request"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN_HOST = "forbidden_host"
    FORBIDDEN_ORIGIN = "forbidden_origin"
    UNKNOWN_PATH = "unknown_path"
    ANSWER_NOT_FOUND = "answer_not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    BODY_TIMEOUT = "body_timeout"
    TOO_LARGE = "too_large"
    UNSUPPORTED_ENCODING = "unsupported_encoding"
    KEY_REUSED = "key_reused"
    TOO_MANY_UPLOADS = "too_many_uploads"
    TOO_MANY_WRONG_KEYS = "too_many_wrong_keys"

    # Why a job failed: each `FailureKind`, under the same value.
    INVALID_REQUEST = "invalid_request"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_REFUSED = "content_refused"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_NOT_ALLOWED = "model_not_allowed"
    NO_POINTS = "no_points"
    NO_TOKEN = "no_token"  # noqa: S105
    RATE_LIMITED = "rate_limited"
    QUEUE_FULL = "queue_full"
    QUEUE_TIMEOUT = "queue_timeout"
    OVERLOADED = "overloaded"
    UNAVAILABLE = "unavailable"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UPSTREAM_EMPTY = "upstream_empty"
    INTERRUPTED = "interrupted"
    CANCELLED = "cancelled"
    INTERNAL = "internal"


@dataclass(eq=False)
class Problem(Exception):
    """A request that gets an error instead of an answer."""

    kind: Kind
    message: str
    param: str | None = None
    """What in the request is at fault, as a path such as `messages[2].content`."""
    code: str | None = None
    """A finer name than the kind, for programs, where the kind has several."""
    retry_after: float | None = None
    """Seconds after which another try may succeed."""
    charged: bool = False
    """Poe may have charged points, so a blind retry may cost them twice."""
    allow: str = ""
    """The methods that the path takes, as in `GET, OPTIONS`; only for METHOD_NOT_ALLOWED."""
    path: str = ""
    """The path that is not served; only for UNKNOWN_PATH."""
    context_length: int | None = None
    """Tokens that the model takes, if known; only for CONTEXT_TOO_LONG."""

    def __str__(self) -> str:
        return self.message


_WHY = {
    "": "It may have been deleted or have expired, or belong to another API key.",
    "deleted": "It has been deleted.",
    "expired": "It has expired: responses are kept for a limited time (`responseLife`).",
    "room": "It was discarded, as the oldest one, to make room for newer ones.",
}
"""What may have become of an answer that is not there."""


def problem_of(
    failed: Failed,
    unknown_model: Callable[[], Problem] | None = None,
    context_length: int | None = None,
) -> Problem:
    """Return what a job's failure is to its client, before and after the first byte alike.

    `unknown_model` words that a model does not exist; `context_length` is the model's, in tokens.
    """
    if failed.kind is FailureKind.MODEL_NOT_FOUND and unknown_model is not None:
        return unknown_model()
    return Problem(
        Kind(failed.kind),
        failed.message,
        failed.param or None,
        retry_after=failed.retry_after,
        charged=failed.charged,
        context_length=context_length,
    )


def invalid_request(message: str, param: str | None = None, code: str | None = None) -> Problem:
    """The client must change its request."""
    return Problem(Kind.BAD_REQUEST, message, param, code)


def invalid_value(param: str | None, reason: str) -> Problem:
    """The field at the path `param` cannot hold what it holds; None means the whole body."""
    message = f"Invalid '{(param or 'body')[:_MAX_PARAM]}': {reason}."
    return invalid_request(message, param, "invalid_value")


def unsupported_value(param: str, reason: str) -> Problem:
    """The field at this path asks for what this server cannot do."""
    return invalid_request(f"Invalid '{param}': {reason}.", param, "unsupported_value")


def missing(param: str) -> Problem:
    """The request cannot do without the field at this path."""
    message = f"Missing required parameter: '{param}'."
    return invalid_request(message, param, "missing_required_parameter")


def _absent(name: str, what: str = "Response with id") -> str:
    return f"{what} {quoted(name)} not found."


def quoted(words: str) -> str:
    """Return the client's own words as a message may repeat them."""
    return f"'{words[:_MAX_QUOTED]}'"


def invalid_idempotency_key() -> Problem:
    """The Idempotency-Key is not one."""
    message = "The header Idempotency-Key must be 1 to 255 printable ASCII characters."
    return invalid_request(message, "Idempotency-Key", "invalid_idempotency_key")


def idempotency_mismatch() -> Problem:
    """The key was used for another request: this client would get that one's answer."""
    message = (
        "The header Idempotency-Key has been used with another request body."
        " Use a new key for each request, and the same one only to send it again."
    )
    return Problem(Kind.KEY_REUSED, message, "Idempotency-Key")


def invalid_api_key() -> Problem:
    """The API key is missing or unknown. It is not repeated: it may be another service's."""
    return Problem(Kind.UNAUTHENTICATED, "Incorrect API key provided, or none.")


def unknown_path(method: str, path: str) -> Problem:
    """This path is not served."""
    message = f"Unknown request URL: {method[:16]} {path[:256]}."
    return Problem(Kind.UNKNOWN_PATH, message, path=path)


def model_not_found(message: str) -> Problem:
    """The model's name leads nowhere."""
    return Problem(Kind.MODEL_NOT_FOUND, message, "model")


def answer_not_found(name: str, why: str = "") -> Problem:
    """The client has no kept answer with this id. `why` is what became of it, if that is known."""
    return Problem(Kind.ANSWER_NOT_FOUND, f"{_absent(name)} {_WHY.get(why, _WHY[''])}")


def previous_not_found(name: str, why: str = "", *, is_earlier: bool = False) -> Problem:
    """A request goes on from an answer that is not there, or from one that does (`is_earlier`)."""
    what = "Earlier response of this conversation" if is_earlier else "Previous response"
    message = f"{_absent(name, f'{what} with id')} {_WHY.get(why, _WHY[''])}"
    return invalid_request(message, "previous_response_id", "previous_response_not_found")


def not_in_background(name: str) -> Problem:
    """An answer that ends with its client cannot be cancelled by others."""
    message = (
        f"Response {quoted(name)} cannot be cancelled: only those made with `background: true`"
        " can. To cancel another, close its connection."
    )
    return invalid_request(message, code="not_in_background")


def method_not_allowed(method: str, allow: str) -> Problem:
    """The path takes other methods: those in `allow`, as in `GET, OPTIONS`."""
    message = f"This URL takes {allow}, not {method[:16]}."
    return Problem(Kind.METHOD_NOT_ALLOWED, message, allow=allow)


def body_too_large(limit: int) -> Problem:
    """The body has more than `limit` bytes."""
    message = f"The request's body is larger than {limit / 2**20:g} MiB (the setting `maxBody`)."
    return Problem(Kind.TOO_LARGE, message)


def body_timeout(seconds: float) -> Problem:
    """The body took longer than `seconds` to arrive."""
    message = f"The request's body did not come within {seconds:g} seconds."
    return Problem(Kind.BODY_TIMEOUT, message)


def too_many_uploads() -> Problem:
    """The bodies that one address is sending are too large together."""
    message = "Your address is sending too much at once. Let some requests arrive before the next."
    return Problem(Kind.TOO_MANY_UPLOADS, message, retry_after=5)


def uploads_full() -> Problem:
    """The bodies that all addresses are sending are too large together."""
    message = "Too much is being sent to this server at once. Try again in a moment."
    return Problem(Kind.OVERLOADED, message, retry_after=5)


def too_many_wrong_keys(retry_after: float) -> Problem:
    """No key from this address is looked at for `retry_after` seconds."""
    message = "Too many wrong API keys came from your address. Wait before you try another."
    return Problem(Kind.TOO_MANY_WRONG_KEYS, message, retry_after=math.ceil(retry_after))


def foreign_host() -> Problem:
    """Without access tokens only this machine may ask, under its own name."""
    message = (
        "This server has no access tokens, so it does not answer under this Host, which a web page"
        " may have made up. Call it as localhost, set `accessTokens`, or list the name in"
        " `allowedHosts`."
    )
    return Problem(Kind.FORBIDDEN_HOST, message, "Host")


def foreign_origin() -> Problem:
    """Without access tokens no other site's web pages may ask."""
    message = (
        "This server has no access tokens, so it does not answer web pages of this Origin. Set"
        " `accessTokens`, or list the page's host in `allowedHosts`."
    )
    return Problem(Kind.FORBIDDEN_ORIGIN, message, "Origin")


def unsupported_encoding(encoding: str, supported: Sequence[str]) -> Problem:
    """The body came compressed in another way than those that are supported."""
    message = (
        f"Content-Encoding {encoding[:64]!r} is not supported; use one of {', '.join(supported)},"
        " or send the body as it is."
    )
    return Problem(Kind.UNSUPPORTED_ENCODING, message)


def malformed_encoding(encoding: str) -> Problem:
    """The body is not what its Content-Encoding says."""
    return invalid_request(f"The request's body is not valid {encoding}, or is not whole.")


def too_many_frames(encoding: str, most: int) -> Problem:
    """The body is in so many compressed pieces that to open them is work of its own."""
    return invalid_request(
        f"The request's body consists of more than {most} {encoding} frames; compress it as one."
    )


def queue_full(retry_after: float) -> Problem:
    """As many requests wait as may. `retry_after` is in seconds."""
    message = "Too many requests are waiting for an answer already."
    return Problem(Kind.QUEUE_FULL, message, retry_after=retry_after)


def storage_full(retry_after: float) -> Problem:
    """As many bytes of requests are stored as may be. `retry_after` is in seconds."""
    message = (
        "Too many bytes of requests are waiting for an answer already (the settings `maxStored` and"
        " `maxStoredTotal`). Wait for one of yours to be answered, or send smaller ones."
    )
    return Problem(Kind.QUEUE_FULL, message, retry_after=retry_after)


def too_large_to_store(limit: int) -> Problem:
    """The request alone has more than the `limit` bytes that may be stored."""
    message = (
        f"The request is larger than the {limit / 2**20:g} MiB of requests that this API key may"
        " have at once (the settings `maxStored` and `maxStoredTotal`)."
    )
    return Problem(Kind.TOO_LARGE, message)


def too_many_choices(n: int, most: int) -> Problem:
    """So many answers at once are never allowed, however long the client waits."""
    reason = (
        f"each of the {n} answers counts as a request, and this API key may have no more than"
        f" {most} at once"
    )
    return invalid_value("n", reason)


def queue_timeout(retry_after: float) -> Problem:
    """The wait would be longer than the request may take. `retry_after` is in seconds."""
    message = "No upstream account becomes free before this request's deadline."
    return Problem(Kind.QUEUE_TIMEOUT, message, retry_after=retry_after)


def rate_limited(retry_after: float) -> Problem:
    """This client asks more often than it may. `retry_after` is in seconds."""
    return Problem(
        Kind.RATE_LIMITED, "Rate limit reached for this API key.", retry_after=retry_after
    )


def unavailable(message: str, retry_after: float | None = None) -> Problem:
    """Nobody can take the request now. `retry_after` is in seconds."""
    return Problem(Kind.UNAVAILABLE, message, retry_after=retry_after)


def internal_error() -> Problem:
    """The server is at fault; what went wrong is for its log."""
    message = "The server had an error while processing your request."
    return Problem(Kind.INTERNAL, message)


def fields_of(problem: Problem) -> dict[str, Any]:
    """Return what a problem in a request's body consists of, for another process to raise."""
    return {"message": problem.message, "param": problem.param, "code": problem.code}
