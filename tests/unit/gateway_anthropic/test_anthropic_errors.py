"""Errors in Anthropic's shape, with statuses that give its clients the right advice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.anthropic.dialect import ANTHROPIC
from gateway.app import TICK
from gateway.dialect import Frame, RateLimit
from gateway.exchange.exchange import QUEUED_EVERY
from gateway.problems import Kind, Problem, method_not_allowed, unknown_path

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    499: "api_error",
    500: "api_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def told(problem: Problem) -> tuple[int, dict[str, Any], dict[str, str]]:
    reply = ANTHROPIC.error(problem, "req_1")
    return reply.status, json.loads(reply.body), dict(reply.headers)


@pytest.mark.parametrize("kind", Kind)
def test_every_problem_has_a_status_and_its_type(kind: Kind) -> None:
    status, body, headers = told(Problem(kind, "Something is wrong."))

    assert set(body) == {"type", "error", "request_id"}
    assert (body["type"], body["request_id"]) == ("error", "req_1")
    assert body["error"]["type"] == TYPES[status]
    assert "Something is wrong." in body["error"]["message"]
    assert ("retry-after" in headers) == (status in (429, 503, 529))


def test_overload_is_529_and_a_limit_of_ones_own_is_429() -> None:
    statuses = {kind: told(Problem(kind, "x"))[0] for kind in Kind}

    assert statuses[Kind.OVERLOADED] == statuses[Kind.UNAVAILABLE] == 529
    assert statuses[Kind.RATE_LIMITED] == statuses[Kind.QUEUE_TIMEOUT] == 429


@pytest.mark.parametrize(
    ("wait", "header"), [(0.01, "1"), (1.2, "2"), (60, "60"), (61, "60"), (86_400, "60")]
)
def test_a_wait_is_whole_seconds_and_never_so_long_that_claude_code_gives_up(
    wait: float, header: str
) -> None:
    assert told(Problem(Kind.QUEUE_TIMEOUT, "x", retry_after=wait))[2]["retry-after"] == header


def test_what_may_have_cost_points_is_not_sent_again_blindly() -> None:
    assert told(Problem(Kind.INTERRUPTED, "x", charged=True))[2]["x-should-retry"] == "false"


def test_claude_code_knows_an_overlong_conversation_by_anthropics_words() -> None:
    known = Problem(Kind.CONTEXT_TOO_LONG, "Too many tokens.", context_length=200_000)
    native = Problem(Kind.CONTEXT_TOO_LONG, "prompt is too long: 9 tokens > 5 maximum")

    assert told(known)[1]["error"]["message"] == (
        "prompt is too long (the model takes 200000 tokens): Too many tokens."
    )
    assert told(native)[1]["error"]["message"] == native.message


def test_a_wrong_path_or_method_says_what_is_wrong_about_it() -> None:
    twice = told(unknown_path("POST", "/v1/v1/messages"))[1]["error"]["message"]

    assert twice.endswith("Take /v1 off the base URL: clients of this API add it themselves.")
    assert told(method_not_allowed("GET", "POST, OPTIONS"))[2]["allow"] == "POST, OPTIONS"


def test_the_id_of_a_request_is_in_anthropics_header() -> None:
    assert ANTHROPIC.headers("req_1") == [("request-id", "req_1")]
    assert {"request-id", "retry-after"} < set(ANTHROPIC.exposed)


def test_a_client_that_waits_hears_something_every_fifteen_seconds() -> None:
    for silence in (QUEUED_EVERY, ANTHROPIC.longest_silence):
        assert silence + TICK < 15


def test_a_ping_is_an_event() -> None:
    assert ANTHROPIC.keep_alive(3, 5.0) == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_an_id_to_resume_from_stands_in_the_event() -> None:
    frame = ANTHROPIC.stamp(Frame('{"type":"x"  } ', "x"), "1-2")

    assert json.loads(frame.data) == {"type": "x", "event_id": "1-2"}


def test_a_rate_limit_is_told_in_anthropics_headers() -> None:
    headers = ANTHROPIC.rate_limit_headers(RateLimit(60, 59, 1.5))

    assert headers == [
        ("anthropic-ratelimit-requests-limit", "60"),
        ("anthropic-ratelimit-requests-remaining", "59"),
    ]
