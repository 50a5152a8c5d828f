"""Every known failure of Poe, and how it looks.

Statuses, types and codes are from creator.poe.com: the page on the OpenAI-compatible API (shape
a: integer code, `metadata`), and the error reference (shape b: string code). Texts of events are
from users' reports. Poe's own library obeys `allow_retry`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from simulated_poe.steps import DONE, Event, Status, Step, Text

Shape = Literal["a", "b"]


class Malformed(Exception):
    """Poe rejects the request's body; the text says why."""


class Failure(msgspec.Struct, frozen=True):
    """One failure, sent as a status or as an event."""

    status: int
    type: str
    code: str
    message: str
    error_type: str | None = None
    allow_retry: bool = False
    retry_after: int | None = None


FAILURES = {
    failure.status: failure
    for failure in (
        Failure(400, "invalid_request_error", "invalid_parameter", "Invalid request."),
        Failure(401, "authentication_error", "invalid_api_key", "Invalid API key."),
        Failure(
            402,
            "insufficient_credits",
            "insufficient_quota",
            "You do not have enough points to message this bot.",
            "insufficient_fund",
        ),
        Failure(403, "moderation_error", "moderation_error", "Access denied"),
        Failure(404, "not_found_error", "model_not_found", "Bot does not exist"),
        Failure(
            408, "timeout_error", "timeout_error", "The model did not start in time.", None, True
        ),
        Failure(
            413,
            "request_too_large",
            "request_too_large",
            "The message is too long for this bot.",
            "user_message_too_long",
        ),
        Failure(
            429, "rate_limit_error", "rate_limit_exceeded", "Rate limit exceeded.", None, True, 2
        ),
        Failure(500, "provider_error", "internal_error", "Internal server error", None, True),
        Failure(502, "upstream_error", "upstream_error", "The model is down.", None, True),
        Failure(503, "api_error", "unavailable", "Temporarily unavailable.", None, True, 2),
        Failure(529, "overloaded_error", "overloaded", "Overloaded", None, True),
    )
}

# The statuses of the bot protocol's error types.
_STATUSES = {
    "insufficient_fund": 402,
    "user_message_too_long": 413,
    "user_caused_error": 400,
    "privacy_authorization_error": 403,
    "subscription_required": 403,
}
_TEXTS = {
    "insufficient_fund": "This bot needs more points to answer your request.",
    "user_message_too_long": "Your message is too long.",
    "user_caused_error": "The request is not valid for this bot.",
    "privacy_authorization_error": "This bot may not read what you sent.",
    "subscription_required": "This bot requires an active Poe subscription.",
}
_INTERNAL = "Internal server error (error_id: 7f3e0c52-0000-4000-8000-000000000000)"
_HTML = (
    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
)


def body(failure: Failure, shape: Shape, message: str | None = None) -> dict[str, Any]:
    """Return the JSON body of an HTTP error."""
    text = message or failure.message
    if shape == "b":
        return {"error": {"message": text, "type": failure.type, "code": failure.code}}
    error = {"code": failure.status, "type": failure.type, "message": text, "metadata": {}}
    return {"error": error}


def as_status(failure: Failure, shape: Shape, message: str | None = None) -> Status:
    """Return a failure as an HTTP error."""
    # The error reference has 400 for an unknown model; otherwise both shapes agree.
    status = 400 if shape == "b" and failure.status == 404 else failure.status
    after = failure.retry_after
    headers = {} if after is None else {"Retry-After": str(after)}
    return Status(status, body(failure, shape, message), headers)


def as_event(failure: Failure, message: str | None = None) -> Event:
    """Return a failure as an `error` event."""
    data: dict[str, Any] = {
        "allow_retry": failure.allow_retry,
        "text": message or failure.message,
    }
    return Event("error", data | ({"error_type": failure.error_type} if failure.error_type else {}))


def of_event(data: dict[str, Any]) -> Failure:
    """Return the failure behind an `error` event, for the interface without such events."""
    return FAILURES[_STATUSES.get(str(data.get("error_type")), 500)]


def fail(name: str, shape: Shape) -> Iterator[Step]:
    """Yield the steps of the named failure; see `PATTERN` for the names."""
    base, _, suffix = name.partition("-")
    if base.isdigit():
        chosen: Shape = "a" if suffix == "a" else "b" if suffix == "b" else shape
        yield as_status(FAILURES[int(base)], chosen)
    elif base == "html":
        yield Status(502, _HTML, {"Content-Type": "text/html; charset=utf-8"})
    elif base == "late":
        yield Text("This answer begins well, ")
        yield Text("but then ")
        yield _error(suffix)
    elif base == "done":
        yield _error("")
        yield DONE
    else:
        yield _error(name)


def no_tools() -> Iterator[Step]:
    """Refuse a request because it has tools. What Poe really says then is not documented."""
    text = "This bot does not support tools."
    yield Event("error", {"allow_retry": False, "text": text, "error_type": "user_caused_error"})


PATTERN = (
    rf"(?:{'|'.join(map(str, FAILURES))})(?:-a|-b)?|html|done"
    rf"|(?:late-)?(?:internal|{'|'.join(_STATUSES)})(?:-retry|-noretry)?|late"
)


def _error(name: str) -> Event:
    """Return an `error` event; errors with a type forbid retries unless the name says otherwise."""
    base, _, suffix = name.partition("-")
    text = _TEXTS.get(base, _INTERNAL)
    allow_retry = suffix == "retry" or (base not in _TEXTS and suffix != "noretry")
    data = {"allow_retry": allow_retry, "text": text}
    return Event("error", data | ({"error_type": base} if base in _TEXTS else {}))
