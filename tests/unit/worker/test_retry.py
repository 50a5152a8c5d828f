"""What follows a failed attempt."""

from __future__ import annotations

import pytest

from worker.poe.faults import Fault, FaultKind
from worker.retry import MAX_IN_BAND, MAX_UNKNOWN, MAX_UPSTREAM_FAILURES, Decision, Step, decide

FAIL, OTHER, AGAIN = Decision(Step.FAIL), Decision(Step.OTHER_TOKEN), Decision(Step.AGAIN, 0.5)

FIRST_STEPS = {
    FaultKind.BAD_KEY: OTHER,
    FaultKind.NO_POINTS: OTHER,
    FaultKind.RATE_LIMITED: OTHER,
    FaultKind.NOT_ENTITLED: OTHER,
    FaultKind.NO_API_ACCESS: FAIL,
    FaultKind.MODEL_NOT_FOUND: OTHER,
    FaultKind.CONTENT_REFUSED: FAIL,
    FaultKind.TOO_LONG: FAIL,
    FaultKind.BAD_REQUEST: FAIL,
    FaultKind.UPSTREAM_DOWN: AGAIN,
    FaultKind.OVERLOADED: AGAIN,
    FaultKind.UNREACHABLE: AGAIN,
    FaultKind.TIMEOUT: AGAIN,
    FaultKind.CUT: AGAIN,
    FaultKind.PROTOCOL: AGAIN,
    FaultKind.EMPTY: FAIL,
}
UPSTREAM = [kind for kind, step in FIRST_STEPS.items() if step == AGAIN]

every_kind = pytest.mark.parametrize("kind", list(FaultKind), ids=lambda kind: kind.name)


@every_kind
def test_the_first_failure_of_each_kind(kind: FaultKind) -> None:
    decision = decide(Fault(kind), output=False, upstream_failures=1, tokens_tried=1)

    assert decision == FIRST_STEPS[kind]


@every_kind
def test_nothing_is_tried_again_behind_output(kind: FaultKind) -> None:
    decision = decide(Fault(kind), output=True, upstream_failures=1, tokens_tried=1)

    assert decision == FAIL


@pytest.mark.parametrize("kind", UPSTREAM, ids=lambda kind: kind.name)
def test_the_upstream_may_fail_a_job_three_times(kind: FaultKind) -> None:
    steps = [
        decide(Fault(kind), output=False, upstream_failures=failures, tokens_tried=0)
        for failures in range(1, MAX_UPSTREAM_FAILURES + 2)
    ]

    assert steps == [AGAIN, Decision(Step.AGAIN, 1.0), FAIL, FAIL]


@pytest.mark.parametrize("kind", UPSTREAM, ids=lambda kind: kind.name)
def test_what_poe_forbids_to_try_again_is_not_tried_again(kind: FaultKind) -> None:
    fault = Fault(kind, allow_retry=False)

    decision = decide(fault, output=False, upstream_failures=1, tokens_tried=0)

    assert decision == FAIL


def test_a_model_that_three_tokens_do_not_know_does_not_exist() -> None:
    fault = Fault(FaultKind.MODEL_NOT_FOUND)

    steps = [
        decide(fault, output=False, upstream_failures=0, tokens_tried=tried).step
        for tried in range(1, MAX_UNKNOWN + 2)
    ]

    assert steps == [Step.OTHER_TOKEN, Step.OTHER_TOKEN, Step.FAIL, Step.FAIL]


@pytest.mark.parametrize(
    "kind", [FaultKind.BAD_KEY, FaultKind.NO_POINTS, FaultKind.NOT_ENTITLED, FaultKind.RATE_LIMITED]
)
def test_any_number_of_tokens_may_fail_in_their_own_right(kind: FaultKind) -> None:
    decision = decide(Fault(kind), output=False, upstream_failures=2, tokens_tried=50)

    assert decision == OTHER


@pytest.mark.parametrize(
    "kind",
    [FaultKind.NO_POINTS, FaultKind.BAD_KEY, FaultKind.RATE_LIMITED, FaultKind.NOT_ENTITLED],
    ids=lambda kind: kind.name,
)
def test_a_bot_that_blames_three_tokens_is_not_asked_with_a_fourth(kind: FaultKind) -> None:
    steps = {
        in_band: [
            decide(Fault(kind, in_band=in_band), output=False, upstream_failures=0, tokens_tried=n)
            for n in range(1, MAX_IN_BAND + 1)
        ]
        for in_band in (True, False)
    }

    assert steps == {True: [OTHER, OTHER, FAIL], False: [OTHER] * 3}
