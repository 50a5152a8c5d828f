"""What a request is told before it may wait, and for how long it may."""

from __future__ import annotations

import pytest

from contract.messages import FailureKind, TokenCounts, WorkerReport
from gateway.config import AccessToken, GatewayConfig
from gateway.exchange.admission import (
    MIB,
    UNKNOWN_WAIT,
    check_choices,
    hold,
    hopeless,
    most_kept,
    most_stored,
    patience,
    retry_after,
    too_long,
)
from gateway.problems import Kind, Problem
from gateway.queue.fleet import Fleet


def fleet(tokens: TokenCounts, others: int = 0) -> Fleet:
    return Fleet(at=0.0, workers=(WorkerReport("w", "1", tokens, 0, others=others),))


@pytest.mark.parametrize(
    ("settings", "maxmemory", "of_one", "in_all"),
    [
        pytest.param({}, 0, 128, 512, id="a Redis without a bound"),
        pytest.param({}, 2048, 256, 1024, id="half of Redis, and a quarter of that"),
        pytest.param({}, 0.5, 0.25, 1, id="a Redis that is too small for anything"),
        pytest.param({"max_stored_total": 100}, 2048, 25, 100, id="all is set"),
        pytest.param({"max_stored": 7}, 2048, 7, 1024, id="one is set"),
        pytest.param({"max_stored": 9, "max_stored_total": 5}, 0, 5, 5, id="one beyond all"),
    ],
)
def test_requests_get_a_part_of_redis_and_each_client_a_part_of_that(
    settings: dict[str, int], maxmemory: float, of_one: float, in_all: int
) -> None:
    config = GatewayConfig(**settings)  # type: ignore[arg-type]

    most = most_stored(config, int(maxmemory * MIB))

    assert most == (of_one * MIB, in_all * MIB)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        pytest.param(None, 300, id="as long as is configured"),
        pytest.param("5", 5, id="less, where the client says so"),
        pytest.param("0.5", 0.5, id="a part of a second"),
        pytest.param("1000", 300, id="never more"),
    ],
)
def test_a_client_may_only_shorten_its_wait(asked: str | None, seconds: float) -> None:
    assert patience(300, asked) == seconds


@pytest.mark.parametrize("asked", ["", "0", "-1", "1e3", "nan", "5s", "1" * 10])
def test_what_is_no_number_of_seconds_is_refused(asked: str) -> None:
    with pytest.raises(Problem, match="x-queue-timeout") as refused:
        patience(300, asked)

    assert refused.value.kind is Kind.BAD_REQUEST


@pytest.mark.parametrize(
    ("choices", "bounds", "most"),
    [
        pytest.param(3, {"max_concurrent": 2}, 2, id="at a time"),
        pytest.param(5, {"rate_limit": 4, "max_concurrent": 8}, 4, id="in a minute"),
        pytest.param(8, {}, 7, id="in the queue"),
    ],
)
def test_who_could_never_have_so_many_choices_is_told_how_many(
    choices: int, bounds: dict[str, int], most: int
) -> None:
    client = AccessToken(b"", "c", "c", **bounds)  # type: ignore[arg-type]
    config = GatewayConfig(max_queued=7)

    check_choices(most, config, client)
    with pytest.raises(Problem, match=f"no more than {most} at once") as refused:
        check_choices(choices, config, client)

    assert refused.value.param == "n"


@pytest.mark.parametrize(
    ("tokens", "others", "why"),
    [
        pytest.param(TokenCounts(free=1, disabled=3), 0, None, id="one is free"),
        pytest.param(TokenCounts(cooling=1, parked=3), 0, None, id="one cools down"),
        pytest.param(TokenCounts(busy=1), 0, None, id="one is busy"),
        pytest.param(TokenCounts(parked=3), 1, None, id="another worker's may be well"),
        pytest.param(TokenCounts(), 0, None, id="nothing is known"),
        pytest.param(
            TokenCounts(parked=1, disabled=1), 0, FailureKind.NO_POINTS, id="one may be refilled"
        ),
        pytest.param(TokenCounts(disabled=2), 0, FailureKind.NO_TOKEN, id="all are refused"),
    ],
)
def test_only_where_no_key_can_be_of_use_a_request_is_hopeless(
    tokens: TokenCounts, others: int, why: FailureKind | None
) -> None:
    found = hopeless(fleet(tokens, others))

    assert (found.kind if found else None) is why


@pytest.mark.parametrize(
    ("wait", "refused"), [(None, False), (0.0, False), (10.0, False), (10.1, True)]
)
def test_who_would_wait_for_longer_than_it_may_is_refused_at_once(
    wait: float | None, refused: bool
) -> None:
    problem = too_long(wait, patience=10)

    assert (problem is not None) is refused
    if problem is not None:
        assert (problem.kind, problem.retry_after) == (Kind.QUEUE_TIMEOUT, wait)


def test_a_refused_client_is_told_the_true_wait_where_it_is_known() -> None:
    assert retry_after(42.0) == 42.0
    assert retry_after(None) == UNKNOWN_WAIT


@pytest.mark.parametrize(
    ("wait", "is_begun", "seconds"),
    [
        pytest.param(None, False, 10, id="nothing is known of the wait"),
        pytest.param(5.0, False, 10, id="the answer may begin in time"),
        pytest.param(11.0, False, 0, id="it will not"),
        pytest.param(11.0, True, 10, id="it has begun, whatever the queue"),
    ],
)
def test_the_status_line_waits_only_for_what_may_come(
    wait: float | None, is_begun: bool, seconds: float
) -> None:
    assert hold(10, wait, is_begun=is_begun) == seconds


@pytest.mark.parametrize(
    ("settings", "maxmemory", "of_one", "in_all"),
    [
        pytest.param({}, 0, 64, 256, id="a Redis without a bound"),
        pytest.param({}, 2048, 128, 512, id="a quarter of Redis, and a quarter of that"),
        pytest.param({"max_kept_total": 100}, 2048, 25, 100, id="all is set"),
        pytest.param({"max_kept": 9, "max_kept_total": 5}, 0, 5, 5, id="one beyond all"),
    ],
)
def test_kept_answers_get_a_part_of_redis_and_each_client_a_part_of_that(
    settings: dict[str, int], maxmemory: int, of_one: int, in_all: int
) -> None:
    config = GatewayConfig(**settings)  # type: ignore[arg-type]

    assert most_kept(config, maxmemory * MIB) == (of_one * MIB, in_all * MIB)
