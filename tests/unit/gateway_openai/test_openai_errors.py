import json

import pytest

from contract.messages import Failed, FailureKind
from gateway.openai import errors
from gateway.openai.errors import ApiError, error_body, error_headers, from_failed
from tests.support.openai_schema import ERROR, assert_is


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        (FailureKind.INVALID_REQUEST, 400, "invalid_request"),
        (FailureKind.CONTEXT_TOO_LONG, 400, "context_length_exceeded"),
        (FailureKind.CONTENT_REFUSED, 400, "content_policy_violation"),
        (FailureKind.MODEL_NOT_FOUND, 404, "model_not_found"),
        (FailureKind.MODEL_NOT_ALLOWED, 403, "model_not_allowed"),
        (FailureKind.NO_POINTS, 402, "insufficient_quota"),
        (FailureKind.NO_TOKEN, 503, "no_upstream_token"),
        (FailureKind.RATE_LIMITED, 429, "rate_limit_exceeded"),
        (FailureKind.QUEUE_FULL, 429, "queue_full"),
        (FailureKind.QUEUE_TIMEOUT, 429, "queue_timeout"),
        (FailureKind.OVERLOADED, 503, "overloaded"),
        (FailureKind.UNAVAILABLE, 503, "unavailable"),
        (FailureKind.UPSTREAM_FAILED, 502, "upstream_failed"),
        (FailureKind.UPSTREAM_TIMEOUT, 504, "upstream_timeout"),
        (FailureKind.UPSTREAM_EMPTY, 502, "upstream_empty"),
        (FailureKind.INTERRUPTED, 502, "interrupted"),
        (FailureKind.CANCELLED, 499, "cancelled"),
        (FailureKind.INTERNAL, 500, "internal_error"),
    ],
)
def test_a_failure_has_its_status_and_code(kind: FailureKind, status: int, code: str) -> None:
    error = from_failed(Failed(kind, "why"))

    assert (error.status, error.code) == (status, code)
    assert "why" in error.message


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_has_a_shape_of_four_keys(kind: FailureKind) -> None:
    body = json.loads(error_body(from_failed(Failed(kind, "why"))))

    assert_is(body, ERROR)
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("kind", FailureKind)
def test_only_what_another_try_may_mend_asks_for_one(kind: FailureKind) -> None:
    """OpenAI's clients send a request again after these statuses, with points for each try."""
    error = from_failed(Failed(kind, "why"))

    hopeless = {
        FailureKind.INVALID_REQUEST,
        FailureKind.CONTEXT_TOO_LONG,
        FailureKind.CONTENT_REFUSED,
        FailureKind.MODEL_NOT_FOUND,
        FailureKind.MODEL_NOT_ALLOWED,
        FailureKind.NO_POINTS,
        FailureKind.CANCELLED,
    }
    is_retried = error.status in (408, 409, 429) or error.status >= 500
    assert is_retried == (kind not in hopeless)
    has_time = "retry-after" in dict(error_headers(error))
    assert has_time == (error.status in (429, 503))


def test_the_body_is_written_byte_for_byte() -> None:
    error = ApiError(400, "invalid_request_error", None, "naïve 😀", "messages[0]")

    assert error_body(error) == (
        rb'{"error":{"message":"na\u00efve \ud83d\ude00","type":"invalid_request_error"'
        rb',"param":"messages[0]","code":null}}'
    )


def test_an_error_reads_as_its_message() -> None:
    assert str(errors.internal_error()) == errors.internal_error().message


@pytest.mark.parametrize("character", ["a", '"', "\x00", "你", "😀"])
def test_an_error_fits_one_line_of_a_stream(character: str) -> None:
    failed = Failed(FailureKind.UPSTREAM_FAILED, character * 100_000)

    body = error_body(from_failed(failed))

    assert len(body) < 60_000
    assert body.isascii()


def test_out_of_points_says_what_makes_aider_stop() -> None:
    body = error_body(from_failed(Failed(FailureKind.NO_POINTS, "x" * 10_000)))

    message = json.loads(body)["error"]["message"].lower()
    assert "insufficient credits" in message
    assert '"code":402' in message


@pytest.mark.parametrize(
    ("told", "length", "message"),
    [
        pytest.param(
            "Poe says: too long",
            8192,
            "This model's maximum context length is 8192 tokens. Poe says: too long",
            id="length known",
        ),
        pytest.param(
            "Poe says: too long",
            None,
            "This model's maximum context length is exceeded. Poe says: too long",
            id="length unknown",
        ),
        pytest.param(
            "its maximum context length is 5 tokens",
            8192,
            "its maximum context length is 5 tokens",
            id="the upstream said it already",
        ),
    ],
)
def test_an_overlong_conversation_is_told_in_words_of_openai(
    told: str, length: int | None, message: str
) -> None:
    error = from_failed(Failed(FailureKind.CONTEXT_TOO_LONG, told), length)

    assert error.message == message


def test_a_failure_without_words_still_has_a_message() -> None:
    assert from_failed(Failed(FailureKind.UPSTREAM_FAILED, "")).message


@pytest.mark.parametrize(
    ("failed", "headers"),
    [
        pytest.param(Failed(FailureKind.INTERNAL, ""), [], id="nothing to advise"),
        pytest.param(
            Failed(FailureKind.RATE_LIMITED, "", retry_after=2.1),
            [("retry-after", "3")],
            id="seconds rounded up",
        ),
        pytest.param(
            Failed(FailureKind.RATE_LIMITED, "", retry_after=-4.0),
            [("retry-after", "1")],
            id="never less than one",
        ),
        pytest.param(
            Failed(FailureKind.OVERLOADED, ""), [("retry-after", "5")], id="a 503 that knows none"
        ),
        pytest.param(
            Failed(FailureKind.UPSTREAM_FAILED, "", retry_after=float("inf")), [], id="never"
        ),
        pytest.param(
            Failed(FailureKind.UPSTREAM_FAILED, "", charged=True),
            [("x-should-retry", "false")],
            id="may have cost points",
        ),
        pytest.param(
            Failed(FailureKind.OVERLOADED, "", retry_after=9, charged=True),
            [("retry-after", "9"), ("x-should-retry", "false")],
            id="both",
        ),
    ],
)
def test_headers_advise_on_another_try(failed: Failed, headers: list[tuple[str, str]]) -> None:
    assert error_headers(from_failed(failed)) == headers


def test_an_error_may_ask_for_another_try() -> None:
    error = ApiError(400, "invalid_request_error", None, "", should_retry=True)

    assert error_headers(error) == [("x-should-retry", "true")]


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"),
    [
        (errors.invalid_request("no", "n", "bad"), 400, "bad", []),
        (errors.invalid_value("n", "no"), 400, "invalid_value", []),
        (errors.missing("n"), 400, "missing_required_parameter", []),
        (errors.invalid_idempotency_key(), 400, "invalid_idempotency_key", []),
        (errors.idempotency_mismatch(), 422, "idempotency_key_reused", []),
        (errors.invalid_api_key(), 401, "invalid_api_key", []),
        (errors.unknown_route("GET", "/v2"), 404, "unknown_url", []),
        (errors.model_not_found("no"), 404, "model_not_found", []),
        (
            errors.method_not_allowed("PUT", "GET, OPTIONS"),
            405,
            "method_not_allowed",
            [("allow", "GET, OPTIONS")],
        ),
        (errors.body_too_large(10), 413, "request_too_large", []),
        (errors.unsupported_encoding("br"), 415, "unsupported_encoding", []),
        (errors.queue_full(1.5), 429, "queue_full", [("retry-after", "2")]),
        (errors.queue_timeout(30), 429, "queue_timeout", [("retry-after", "30")]),
        (errors.rate_limited(0), 429, "rate_limit_exceeded", [("retry-after", "1")]),
        (errors.unavailable("Redis is away"), 503, "unavailable", [("retry-after", "5")]),
        (errors.internal_error(), 500, "internal_error", []),
    ],
)
def test_the_gateways_own_errors_have_their_shape(
    error: ApiError, status: int, code: str, headers: list[tuple[str, str]]
) -> None:
    assert (error.status, error.code, error_headers(error)) == (status, code, headers)


@pytest.mark.parametrize("error", [errors.invalid_idempotency_key(), errors.idempotency_mismatch()])
def test_what_is_wrong_with_a_header_names_it(error: ApiError) -> None:
    assert error.param == "Idempotency-Key"
    assert "Idempotency-Key" in error.message
