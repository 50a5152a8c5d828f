"""How a problem looks to a client of OpenAI's API, be it chat completions or responses.

A status is also advice. OpenAI's SDKs send a request again by themselves after 408, 409, 429
and 5xx, and give up after any other 4xx; `x-should-retry` overrides both. So a failure that
another try cannot mend must not have a status that asks for one.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from gateway.dialect import Headers, Reply
from gateway.problems import Kind, Problem
from gateway.render.problem_headers import MAX_MESSAGE, problem_headers


class _Shape(NamedTuple):
    status: int
    type: str
    code: str | None
    param: str | None = None


_BAD = "invalid_request_error"
_SHAPES = {
    Kind.BAD_REQUEST: _Shape(400, _BAD, None),
    Kind.UNAUTHENTICATED: _Shape(401, _BAD, "invalid_api_key"),
    Kind.FORBIDDEN_HOST: _Shape(403, _BAD, "forbidden_host"),
    Kind.FORBIDDEN_ORIGIN: _Shape(403, _BAD, "forbidden_origin"),
    Kind.UNKNOWN_PATH: _Shape(404, _BAD, "unknown_url"),
    Kind.ANSWER_NOT_FOUND: _Shape(404, _BAD, "response_not_found"),
    Kind.METHOD_NOT_ALLOWED: _Shape(405, _BAD, "method_not_allowed"),
    Kind.BODY_TIMEOUT: _Shape(408, _BAD, "request_timeout"),
    Kind.TOO_LARGE: _Shape(413, _BAD, "request_too_large"),
    Kind.UNSUPPORTED_ENCODING: _Shape(415, _BAD, "unsupported_encoding"),
    Kind.KEY_REUSED: _Shape(422, _BAD, "idempotency_key_reused"),
    Kind.TOO_MANY_UPLOADS: _Shape(429, "rate_limit_error", "too_many_uploads"),
    Kind.TOO_MANY_WRONG_KEYS: _Shape(429, "rate_limit_error", "too_many_wrong_keys"),
    Kind.INVALID_REQUEST: _Shape(400, _BAD, "invalid_request"),
    Kind.CONTEXT_TOO_LONG: _Shape(400, _BAD, "context_length_exceeded", "messages"),
    Kind.CONTENT_REFUSED: _Shape(400, _BAD, "content_policy_violation"),
    Kind.MODEL_NOT_FOUND: _Shape(404, _BAD, "model_not_found", "model"),
    Kind.MODEL_NOT_ALLOWED: _Shape(403, "permission_error", "model_not_allowed", "model"),
    Kind.NO_POINTS: _Shape(402, "insufficient_quota", "insufficient_quota"),
    Kind.NO_TOKEN: _Shape(503, "server_error", "no_upstream_token"),
    Kind.RATE_LIMITED: _Shape(429, "rate_limit_error", "rate_limit_exceeded"),
    Kind.QUEUE_FULL: _Shape(429, "rate_limit_error", "queue_full"),
    Kind.QUEUE_TIMEOUT: _Shape(429, "rate_limit_error", "queue_timeout"),
    Kind.OVERLOADED: _Shape(503, "server_error", "overloaded"),
    Kind.UNAVAILABLE: _Shape(503, "server_error", "unavailable"),
    Kind.UPSTREAM_FAILED: _Shape(502, "server_error", "upstream_failed"),
    Kind.UPSTREAM_TIMEOUT: _Shape(504, "server_error", "upstream_timeout"),
    Kind.UPSTREAM_EMPTY: _Shape(502, "server_error", "upstream_empty"),
    Kind.INTERRUPTED: _Shape(502, "server_error", "interrupted"),
    # nginx's "client closed request"; seen only by one that asks for a cancelled job's answer.
    Kind.CANCELLED: _Shape(499, _BAD, "cancelled"),
    Kind.INTERNAL: _Shape(500, "server_error", "internal_error"),
}


def reply(problem: Problem) -> Reply:
    """Return the response for a problem."""
    return Reply(_SHAPES[problem.kind].status, body(problem).encode("ascii"), headers(problem))


def body(problem: Problem) -> str:
    """Render the body, as ASCII. OpenAI's schema requires all four keys, null or not."""
    shape = _SHAPES[problem.kind]
    fields = {
        "message": message(problem),
        "type": shape.type,
        "param": problem.param or shape.param,
        "code": problem.code or shape.code,
    }
    return json.dumps({"error": fields}, separators=(",", ":"))


def headers(problem: Problem) -> Headers:
    """Return the headers, in lower case, that go with the body beside its content type."""
    return problem_headers(problem, _SHAPES[problem.kind].status)


def message(problem: Problem) -> str:
    """Return the problem's message, in words that clients know some problems by."""
    return _worded(problem)[:MAX_MESSAGE]


def _worded(problem: Problem) -> str:
    message = problem.message
    match problem.kind:
        case Kind.NO_POINTS:
            # aider tries everything again, for minutes, except when an error's text has both
            # of these; litellm, which it uses, keeps nothing of the body but the message.
            return f'Insufficient credits ("code":402): {message}'
        case Kind.CONTEXT_TOO_LONG if "maximum context length" not in message:
            # litellm and agents recognize an overlong conversation by OpenAI's opening words.
            length = problem.context_length
            known = f"{length} tokens" if length else "exceeded"
            return f"This model's maximum context length is {known}. {message}"
        case Kind.UNAUTHENTICATED:
            # litellm takes a 401 that lacks OpenAI's opening words for a bad request.
            return f"{message} Send it as `Authorization: Bearer <your key>`."
        case _:
            return message or "The request failed."
