"""How a problem looks to a client of Anthropic's API.

A status is also advice. Anthropic's SDKs and Claude Code send a request again by themselves after
408, 409, 429 and 5xx, and give up after any other 4xx; `x-should-retry` overrides both. Claude Code
also gives up where `retry-after` is more than a minute.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from gateway.dialect import Reply
from gateway.problems import Kind, Problem
from gateway.render.problem_headers import MAX_MESSAGE, problem_headers

EXPOSED = ("request-id", "retry-after", "x-should-retry", "x-token-count")
"""The headers that a web page may read."""

LONGEST_RETRY_AFTER = 60
"""Seconds: beyond them Claude Code does not try again."""


class _Shape(NamedTuple):
    status: int
    type: str


_BAD = _Shape(400, "invalid_request_error")
_BUSY = _Shape(429, "rate_limit_error")
_OVERLOADED = _Shape(529, "overloaded_error")
_SHAPES = {
    Kind.BAD_REQUEST: _BAD,
    Kind.UNAUTHENTICATED: _Shape(401, "authentication_error"),
    Kind.FORBIDDEN_HOST: _Shape(403, "permission_error"),
    Kind.FORBIDDEN_ORIGIN: _Shape(403, "permission_error"),
    Kind.UNKNOWN_PATH: _Shape(404, "not_found_error"),
    Kind.ANSWER_NOT_FOUND: _Shape(404, "not_found_error"),
    Kind.METHOD_NOT_ALLOWED: _Shape(405, "invalid_request_error"),
    Kind.BODY_TIMEOUT: _Shape(408, "timeout_error"),
    Kind.TOO_LARGE: _Shape(413, "request_too_large"),
    Kind.UNSUPPORTED_ENCODING: _Shape(415, "invalid_request_error"),
    Kind.KEY_REUSED: _Shape(422, "invalid_request_error"),
    Kind.TOO_MANY_UPLOADS: _BUSY,
    Kind.TOO_MANY_WRONG_KEYS: _BUSY,
    Kind.INVALID_REQUEST: _BAD,
    Kind.CONTEXT_TOO_LONG: _BAD,
    Kind.CONTENT_REFUSED: _BAD,
    Kind.MODEL_NOT_FOUND: _Shape(404, "not_found_error"),
    Kind.MODEL_NOT_ALLOWED: _Shape(403, "permission_error"),
    Kind.NO_POINTS: _Shape(402, "billing_error"),
    Kind.NO_TOKEN: _Shape(503, "api_error"),
    Kind.RATE_LIMITED: _BUSY,
    Kind.QUEUE_FULL: _BUSY,
    Kind.QUEUE_TIMEOUT: _BUSY,
    Kind.OVERLOADED: _OVERLOADED,
    Kind.UNAVAILABLE: _OVERLOADED,
    Kind.UPSTREAM_FAILED: _Shape(502, "api_error"),
    Kind.UPSTREAM_TIMEOUT: _Shape(504, "timeout_error"),
    Kind.UPSTREAM_EMPTY: _Shape(502, "api_error"),
    Kind.INTERRUPTED: _Shape(502, "api_error"),
    # nginx's "client closed request"; seen only by one that asks for a cancelled job's answer.
    Kind.CANCELLED: _Shape(499, "api_error"),
    Kind.INTERNAL: _Shape(500, "api_error"),
}


def reply(problem: Problem, request_id: str) -> Reply:
    """Return the response for a problem."""
    status = _SHAPES[problem.kind].status
    return Reply(
        status,
        body(problem, request_id).encode("ascii"),
        problem_headers(problem, status, longest=LONGEST_RETRY_AFTER),
    )


def body(problem: Problem, request_id: str) -> str:
    """Render the body, which an `error` event has too, as ASCII."""
    error = {"type": _SHAPES[problem.kind].type, "message": _message(problem)[:MAX_MESSAGE]}
    fields = {"type": "error", "error": error, "request_id": request_id}
    return json.dumps(fields, separators=(",", ":"))


def _message(problem: Problem) -> str:
    message = problem.message
    match problem.kind:
        case Kind.CONTEXT_TOO_LONG if "prompt is too long" not in message.lower():
            # By these words Claude Code knows that it must shorten the conversation.
            length = problem.context_length
            known = f" (the model takes {length} tokens)" if length else ""
            return f"prompt is too long{known}: {message}"
        case Kind.UNAUTHENTICATED:
            return f"{message} Send it as `x-api-key: <your key>` or `Authorization: Bearer …`."
        case Kind.UNKNOWN_PATH if problem.path.startswith("/v1/v1/"):
            return f"{message} Take /v1 off the base URL: clients of this API add it themselves."
        case _:
            return message or "The request failed."
