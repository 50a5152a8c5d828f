"""Poe's statuses, error bodies and error events."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.poe.errors import from_error_event, from_late_error, from_status
from worker.poe.faults import Fault, FaultKind

NOW = 1_800_000_000.0
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def shape_a(status: int, type_: str, message: str = "Some text.") -> bytes:
    """The shape of creator.poe.com's page on the OpenAI-compatible API."""
    error = {"code": status, "type": type_, "message": message, "metadata": {}}
    return msgspec.json.encode({"error": error})


def shape_b(code: str, type_: str, message: str = "Some text.") -> bytes:
    """The shape of creator.poe.com's reference of errors."""
    return msgspec.json.encode({"error": {"message": message, "type": type_, "code": code}})


def read(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Fault:
    return from_status(status, headers or {}, body, NOW)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, shape_a(400, "invalid_request_error"), FaultKind.BAD_REQUEST),
        (400, shape_b("invalid_parameter", "invalid_request_error"), FaultKind.BAD_REQUEST),
        (400, shape_b("model_not_found", "invalid_request_error"), FaultKind.MODEL_NOT_FOUND),
        (400, shape_b("x", "y", "Your prompt is too long."), FaultKind.TOO_LONG),
        (400, shape_b("x", "y", "Invalid value: 'rate limit'"), FaultKind.BAD_REQUEST),
        (400, b"", FaultKind.BAD_REQUEST),
        (401, shape_a(401, "authentication_error"), FaultKind.BAD_KEY),
        (401, shape_b("invalid_api_key", "invalid_request_error"), FaultKind.BAD_KEY),
        (401, HTML, FaultKind.BAD_KEY),
        (402, shape_a(402, "insufficient_credits"), FaultKind.NO_POINTS),
        (402, shape_b("insufficient_quota", "x"), FaultKind.NO_POINTS),
        (403, shape_a(403, "moderation_error"), FaultKind.CONTENT_REFUSED),
        (
            403,
            shape_a(403, "moderation_error", "This model requires an active Poe subscription."),
            FaultKind.NOT_ENTITLED,
        ),
        (403, shape_a(403, "x", "This bot does not support API access"), FaultKind.NO_API_ACCESS),
        (403, shape_a(403, "x", "You have used up your points."), FaultKind.NO_POINTS),
        (403, b"{}", FaultKind.NOT_ENTITLED),
        (403, b" <!DOCTYPE html><p>Blocked", FaultKind.UPSTREAM_DOWN),
        (404, shape_a(404, "not_found_error", "Bot does not exist"), FaultKind.MODEL_NOT_FOUND),
        (404, HTML, FaultKind.MODEL_NOT_FOUND),
        (407, HTML, FaultKind.UNREACHABLE),
        (408, shape_a(408, "timeout_error"), FaultKind.TIMEOUT),
        (413, shape_a(413, "request_too_large"), FaultKind.TOO_LONG),
        (418, b"", FaultKind.BAD_REQUEST),
        (422, b"", FaultKind.BAD_REQUEST),
        (429, shape_a(429, "rate_limit_error"), FaultKind.RATE_LIMITED),
        (429, shape_b("rate_limit_exceeded", "rate_limit_error"), FaultKind.RATE_LIMITED),
        (429, shape_b("insufficient_quota", "insufficient_quota"), FaultKind.NO_POINTS),
        (500, shape_a(500, "provider_error"), FaultKind.UPSTREAM_DOWN),
        (500, shape_b("internal_error", "api_error"), FaultKind.UPSTREAM_DOWN),
        (500, shape_a(500, "invalid_request_error"), FaultKind.BAD_REQUEST),
        (500, shape_a(500, "x", "maximum context length is 8192"), FaultKind.TOO_LONG),
        (502, HTML, FaultKind.UPSTREAM_DOWN),
        (503, b"", FaultKind.UPSTREAM_DOWN),
        (503, shape_a(503, "overloaded_error"), FaultKind.OVERLOADED),
        (504, HTML, FaultKind.TIMEOUT),
        (529, shape_a(529, "overloaded_error"), FaultKind.OVERLOADED),
        (599, b"", FaultKind.UPSTREAM_DOWN),
        (200, shape_a(401, "authentication_error"), FaultKind.BAD_KEY),
        (200, HTML, FaultKind.PROTOCOL),
        (302, b"", FaultKind.PROTOCOL),
    ],
)
def test_a_status_and_its_body_name_the_fault(status: int, body: bytes, kind: FaultKind) -> None:
    assert read(status, body).kind is kind


NESTED = msgspec.json.encode({"error": {"message": "Extra inputs are not permitted"}}).decode()


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        pytest.param(
            400, shape_a(400, "x", "Use\n max_tokens >= 16."), "Use max_tokens >= 16.", id="plain"
        ),
        pytest.param(
            400, shape_a(400, "x", NESTED), "Extra inputs are not permitted", id="JSON in JSON"
        ),
        pytest.param(400, b'{"error": "Bad field."}', "Bad field.", id="an error of text only"),
        pytest.param(400, shape_a(400, "x", "y" * 9000), "y" * 500, id="far too long"),
        pytest.param(413, shape_a(413, "x", "Too long: 9 > 8"), "Too long: 9 > 8", id="too long"),
    ],
)
def test_what_concerns_the_request_is_told_to_its_sender(
    status: int, body: bytes, message: str
) -> None:
    assert read(status, body).message == message


@pytest.mark.parametrize("status", [401, 402, 403, 404, 429, 500, 502, 503, 529])
def test_what_concerns_the_operator_is_told_in_our_words(status: int) -> None:
    body = shape_a(status, "x", "Account bob@example.com requires a subscription")

    assert "bob" not in read(status, body).message


def test_html_is_never_shown() -> None:
    assert "<" not in read(400, HTML).message
    assert "<" not in read(400, shape_a(400, "x", "<b>no</b>")).message


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        pytest.param(429, {"retry-after": "30"}, 30.0, id="seconds"),
        pytest.param(503, {"retry-after": "1.5"}, 1.5, id="parts of seconds"),
        pytest.param(429, {"retry-after": "Fri, 15 Jan 2027 08:00:20 GMT"}, 20.0, id="a date"),
        pytest.param(429, {"retry-after": "Fri, 15 Jan 2027 08:00:20"}, 20.0, id="a bare date"),
        pytest.param(429, {"retry-after": "Fri, 15 Jan 2021 08:00:20 GMT"}, 0.0, id="the past"),
        pytest.param(429, {"retry-after": "Fri, 15 Jan 2099 08:00:20 GMT"}, 86400.0, id="an age"),
        pytest.param(429, {"x-ratelimit-reset-requests": "12"}, 12.0, id="the limit's own reset"),
        pytest.param(429, {"x-ratelimit-reset": "12"}, 12.0, id="the reset under a short name"),
        pytest.param(503, {"x-ratelimit-reset-requests": "12"}, None, id="a reset of no matter"),
        pytest.param(429, {"retry-after": "soon"}, None, id="a word"),
        pytest.param(429, {"retry-after": "-3"}, None, id="less than nothing"),
        pytest.param(429, {"retry-after": "nan"}, None, id="not a number"),
        pytest.param(429, {"retry-after": "1e99"}, None, id="eternity"),
        pytest.param(429, {}, None, id="nothing"),
    ],
)
def test_tells_when_to_come_again(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    assert read(status, headers=headers).retry_after == seconds


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ({"text": "Internal server error", "allow_retry": True}, FaultKind.UPSTREAM_DOWN),
        ({"text": "Internal server error (error_id: 1-2-3)"}, FaultKind.UPSTREAM_DOWN),
        ({"text": "This bot needs more points to answer your request."}, FaultKind.NO_POINTS),
        ({"text": "You do not have enough points to message this bot."}, FaultKind.NO_POINTS),
        ({"text": "You have used up your points"}, FaultKind.NO_POINTS),
        ({"text": "This requires an active Poe subscription"}, FaultKind.NOT_ENTITLED),
        ({"text": "This bot does not support API access"}, FaultKind.NO_API_ACCESS),
        ({"text": "Access denied"}, FaultKind.NOT_ENTITLED),
        ({"text": "Bot does not exist"}, FaultKind.MODEL_NOT_FOUND),
        ({"text": "Invalid token", "allow_retry": False}, FaultKind.BAD_KEY),
        ({"text": "Unauthorized", "allow_retry": False}, FaultKind.BAD_KEY),
        ({"text": "Unauthorized"}, FaultKind.UPSTREAM_DOWN),
        ({"text": "rate limit exceeded"}, FaultKind.RATE_LIMITED),
        ({"text": "x", "error_type": "user_message_too_long"}, FaultKind.TOO_LONG),
        ({"text": "x", "error_type": "insufficient_fund"}, FaultKind.NO_POINTS),
        ({"text": "x", "error_type": "user_caused_error"}, FaultKind.BAD_REQUEST),
        ({"text": "x", "error_type": "privacy_authorization_error"}, FaultKind.NOT_ENTITLED),
        ({"text": "x", "error_type": "subscription_required"}, FaultKind.NOT_ENTITLED),
        ({"text": "x", "error_type": "new_in_2030"}, FaultKind.UPSTREAM_DOWN),
        ({"raw_response": "the prompt is too long"}, FaultKind.TOO_LONG),
        ({"text": 5, "error_type": [1]}, FaultKind.UPSTREAM_DOWN),
        ({}, FaultKind.UPSTREAM_DOWN),
    ],
)
def test_an_error_event_names_the_fault(data: dict[str, object], kind: FaultKind) -> None:
    assert from_error_event(msgspec.json.encode(data)).kind is kind


@pytest.mark.parametrize(
    ("data", "allowed"),
    [(b'{"allow_retry": false}', False), (b'{"allow_retry": true}', True), (b"{}", True)],
)
def test_poe_says_whether_to_try_again(data: bytes, allowed: bool) -> None:
    assert from_error_event(data).allow_retry is allowed


@given(st.integers(100, 999), st.binary(max_size=50), st.text(max_size=20))
def test_no_nonsense_is_more_than_a_fault(status: int, body: bytes, after: str) -> None:
    assert read(status, body, {"retry-after": after}).sent
    assert from_error_event(body).kind is FaultKind.UPSTREAM_DOWN


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (shape_a(429, "rate_limit_error", "Slow down"), FaultKind.RATE_LIMITED),
        (shape_a(402, "insufficient_credits", "x"), FaultKind.NO_POINTS),
        (shape_b("overloaded_error", "api_error", "Too much"), FaultKind.OVERLOADED),
        (shape_b("context_length_exceeded", "invalid_request_error", "x"), FaultKind.TOO_LONG),
        (shape_b("internal", "api_error", "The model is down"), FaultKind.UPSTREAM_DOWN),
        (b'{"error": "You have used up your points."}', FaultKind.NO_POINTS),
        (b'{"error": {"code": true}}', FaultKind.UPSTREAM_DOWN),
        (b"{}", FaultKind.UPSTREAM_DOWN),
    ],
)
def test_an_error_in_a_stream_names_the_fault_in_either_shape(body: bytes, kind: FaultKind) -> None:
    assert from_late_error(body).kind is kind
