import json

import pytest

from contract.messages import Failed, FailureKind
from gateway import problems
from gateway.openai.errors import body as error_body
from gateway.problems import Kind, Problem, problem_of
from gateway.render.openai_errors import headers as error_headers
from tests.support.openai_answers import code_of, status_of
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
    error = problem_of(Failed(kind, "why"))

    assert (status_of(error), code_of(error)) == (status, code)
    assert "why" in error_body(error)


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_has_a_shape_of_four_keys(kind: FailureKind) -> None:
    body = json.loads(error_body(problem_of(Failed(kind, "why"))))

    assert_is(body, ERROR)
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("kind", FailureKind)
def test_only_what_another_try_may_mend_asks_for_one(kind: FailureKind) -> None:
    """OpenAI's clients send a request again after these statuses, with points for each try."""
    error = problem_of(Failed(kind, "why"))

    hopeless = {
        FailureKind.INVALID_REQUEST,
        FailureKind.CONTEXT_TOO_LONG,
        FailureKind.CONTENT_REFUSED,
        FailureKind.MODEL_NOT_FOUND,
        FailureKind.MODEL_NOT_ALLOWED,
        FailureKind.NO_POINTS,
        FailureKind.CANCELLED,
    }
    is_retried = status_of(error) in (408, 409, 429) or status_of(error) >= 500
    assert is_retried == (kind not in hopeless)
    has_time = "retry-after" in dict(error_headers(error))
    assert has_time == (status_of(error) in (429, 503))


def test_the_body_is_written_byte_for_byte() -> None:
    error = Problem(Kind.BAD_REQUEST, "naïve 😀", "messages[0]")

    assert error_body(error) == (
        r'{"error":{"message":"na\u00efve \ud83d\ude00","type":"invalid_request_error"'
        r',"param":"messages[0]","code":null}}'
    )


def test_an_error_reads_as_its_message() -> None:
    assert str(problems.internal_error()) == problems.internal_error().message


@pytest.mark.parametrize("character", ["a", '"', "\x00", "你", "😀"])
def test_an_error_fits_one_line_of_a_stream(character: str) -> None:
    failed = Failed(FailureKind.UPSTREAM_FAILED, character * 100_000)

    body = error_body(problem_of(failed))

    assert len(body) < 60_000
    assert body.isascii()


def test_out_of_points_says_what_makes_aider_stop() -> None:
    body = error_body(problem_of(Failed(FailureKind.NO_POINTS, "x" * 10_000)))

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
    error = problem_of(Failed(FailureKind.CONTEXT_TOO_LONG, told), context_length=length)

    assert json.loads(error_body(error))["error"]["message"] == message


def test_a_failure_without_words_still_has_a_message() -> None:
    error = problem_of(Failed(FailureKind.UPSTREAM_FAILED, ""))

    assert json.loads(error_body(error))["error"]["message"]


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
    assert error_headers(problem_of(failed)) == headers


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_of_a_job_is_a_kind_of_problem(kind: FailureKind) -> None:
    assert Kind(kind).value == kind.value


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_problem_has_a_status(kind: Kind) -> None:
    assert 400 <= status_of(Problem(kind, "why")) < 600


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"),
    [
        (problems.invalid_request("no", "n", "bad"), 400, "bad", []),
        (problems.invalid_value("n", "no"), 400, "invalid_value", []),
        (problems.missing("n"), 400, "missing_required_parameter", []),
        (problems.invalid_idempotency_key(), 400, "invalid_idempotency_key", []),
        (problems.idempotency_mismatch(), 422, "idempotency_key_reused", []),
        (problems.invalid_api_key(), 401, "invalid_api_key", []),
        (problems.unknown_path("GET", "/v2"), 404, "unknown_url", []),
        (problems.model_not_found("no"), 404, "model_not_found", []),
        (
            problems.method_not_allowed("PUT", "GET, OPTIONS"),
            405,
            "method_not_allowed",
            [("allow", "GET, OPTIONS")],
        ),
        (problems.body_too_large(10), 413, "request_too_large", []),
        (problems.unsupported_encoding("br", ("gzip",)), 415, "unsupported_encoding", []),
        (problems.queue_full(1.5), 429, "queue_full", [("retry-after", "2")]),
        (problems.queue_timeout(30), 429, "queue_timeout", [("retry-after", "30")]),
        (problems.rate_limited(0), 429, "rate_limit_exceeded", [("retry-after", "1")]),
        (problems.unavailable("Redis is away"), 503, "unavailable", [("retry-after", "5")]),
        (problems.internal_error(), 500, "internal_error", []),
    ],
)
def test_the_gateways_own_errors_have_their_shape(
    error: Problem, status: int, code: str, headers: list[tuple[str, str]]
) -> None:
    assert (status_of(error), code_of(error), error_headers(error)) == (status, code, headers)


@pytest.mark.parametrize(
    "error", [problems.invalid_idempotency_key(), problems.idempotency_mismatch()]
)
def test_what_is_wrong_with_a_header_names_it(error: Problem) -> None:
    assert error.param == "Idempotency-Key"
    assert "Idempotency-Key" in error.message
