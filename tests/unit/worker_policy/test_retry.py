"""The table of docs/upstreams.md, "Paid once": what came, and whether Poe is asked again."""

from __future__ import annotations

from typing import Any

import pytest

from worker.poe.faults import Fault, FaultKind, Reach
from worker.policy.retry import (
    CORRECTED,
    MAX_IN_BAND,
    MAX_UNKNOWN,
    MAX_UPSTREAM_FAILURES,
    RETRIED,
    UNHEARD,
    Decision,
    Past,
    Step,
    decide,
    runs_again,
)

FAIL, OTHER, AGAIN = Decision(Step.FAIL), Decision(Step.OTHER_TOKEN), Decision(Step.AGAIN, 0.5)

OF_KEYS = [
    FaultKind.BAD_KEY,
    FaultKind.NO_POINTS,
    FaultKind.RATE_LIMITED,
    FaultKind.NOT_ENTITLED,
    FaultKind.MODEL_NOT_FOUND,
]
OF_THE_REQUEST = [
    FaultKind.NO_API_ACCESS,
    FaultKind.CONTENT_REFUSED,
    FaultKind.TOO_LONG,
    FaultKind.BAD_REQUEST,
    FaultKind.CONTENT_LOST,
]
OF_THE_UPSTREAM = [
    FaultKind.UPSTREAM_DOWN,
    FaultKind.OVERLOADED,
    FaultKind.UNREACHABLE,
    FaultKind.TIMEOUT,
    FaultKind.CUT,
    FaultKind.PROTOCOL,
    FaultKind.EMPTY,
]
UNPAID = [Reach.UNSENT, Reach.REFUSED]
PAID = [Reach.ANSWERED, Reach.BEGUN]
FIRST = Past(upstream_failures=1, tokens_tried=1)
KEYED = Past(upstream_failures=1, tokens_tried=1, keyed=True)

keyed_or_not = pytest.mark.parametrize("past", [FIRST, KEYED], ids=["no key", "keyed"])


def kinds(found: list[FaultKind]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", found, ids=lambda kind: kind.name)


def reaches(found: list[Reach]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("reach", found, ids=lambda reach: reach.name)


def fault(kind: FaultKind, reach: Reach, **fields: Any) -> Fault:
    made = Fault(kind, sent=reach is not Reach.UNSENT, **fields)
    made.reached = reach
    return made


def test_every_kind_is_in_this_test() -> None:
    assert {*OF_KEYS, *OF_THE_REQUEST, *OF_THE_UPSTREAM} == set(FaultKind)


# Not sent, or refused by a status: nothing is paid.


@keyed_or_not
@reaches(UNPAID)
@kinds(OF_KEYS)
def test_what_is_the_fault_of_a_key_is_asked_with_another(
    kind: FaultKind, reach: Reach, past: Past
) -> None:
    assert decide(fault(kind, reach), past) == OTHER


@keyed_or_not
@reaches(UNPAID)
@kinds(OF_THE_UPSTREAM)
def test_what_the_upstream_fails_is_asked_twice_more(
    kind: FaultKind, reach: Reach, past: Past
) -> None:
    steps = [
        decide(fault(kind, reach), Past(upstream_failures=failures, keyed=past.keyed))
        for failures in range(1, MAX_UPSTREAM_FAILURES + 2)
    ]

    assert steps == [AGAIN, Decision(Step.AGAIN, 1.0), FAIL, FAIL]


@keyed_or_not
@reaches([*Reach])
@kinds(OF_THE_REQUEST)
def test_what_fails_everywhere_is_never_asked_again(
    kind: FaultKind, reach: Reach, past: Past
) -> None:
    if reach is not Reach.SENT:
        assert decide(fault(kind, reach, in_band=True), past) == FAIL


def test_poe_is_not_asked_before_it_says_that_it_may_be() -> None:
    found = fault(FaultKind.OVERLOADED, Reach.REFUSED, retry_after=7.0)

    assert decide(found, FIRST) == Decision(Step.AGAIN, 7.0)


@reaches(UNPAID)
def test_a_model_that_three_tokens_do_not_know_does_not_exist(reach: Reach) -> None:
    steps = [
        decide(fault(FaultKind.MODEL_NOT_FOUND, reach), Past(tokens_tried=tried)).step
        for tried in range(1, MAX_UNKNOWN + 2)
    ]

    assert steps == [Step.OTHER_TOKEN, Step.OTHER_TOKEN, Step.FAIL, Step.FAIL]


@kinds([kind for kind in OF_KEYS if kind is not FaultKind.MODEL_NOT_FOUND])
def test_any_number_of_tokens_may_be_refused_in_their_own_right(kind: FaultKind) -> None:
    past = Past(upstream_failures=2, tokens_tried=50)

    assert decide(fault(kind, Reach.REFUSED), past) == OTHER


# Sent, and no status.


@kinds([FaultKind.CUT, FaultKind.PROTOCOL])
def test_a_call_that_is_cut_without_a_status_is_repeated_once(kind: FaultKind) -> None:
    once = decide(fault(kind, Reach.SENT), FIRST)
    twice = decide(fault(kind, Reach.SENT), Past(2, 0, frozenset({UNHEARD})))

    assert once == Decision(Step.AGAIN, 0.5, UNHEARD)
    assert twice == FAIL


@kinds(OF_THE_UPSTREAM)
def test_a_call_without_a_status_is_never_repeated_for_an_idempotency_key(kind: FaultKind) -> None:
    assert decide(fault(kind, Reach.SENT), KEYED) == FAIL


@keyed_or_not
@reaches([Reach.SENT, *PAID])
def test_our_own_timeout_is_the_end(reach: Reach, past: Past) -> None:
    assert decide(fault(FaultKind.TIMEOUT, reach), past) == FAIL


def test_a_call_for_a_correction_without_a_status_is_not_repeated() -> None:
    past = Past(upstream_failures=1, had=frozenset({CORRECTED}))

    assert decide(fault(FaultKind.CUT, Reach.SENT), past) == FAIL


# 200, and an error event before anything of the answer.


@keyed_or_not
@kinds(OF_KEYS)
@pytest.mark.parametrize("allow_retry", [False, True])
def test_an_error_event_of_a_key_is_asked_with_another(
    kind: FaultKind, past: Past, allow_retry: bool
) -> None:
    found = fault(kind, Reach.ANSWERED, in_band=True, allow_retry=allow_retry)

    assert decide(found, past) == OTHER
    assert decide(found, Past(tokens_tried=MAX_IN_BAND)) == FAIL


@keyed_or_not
@kinds(OF_THE_UPSTREAM)
def test_an_error_event_that_allows_a_retry_is_asked_once_more(kind: FaultKind, past: Past) -> None:
    found = fault(kind, Reach.ANSWERED, in_band=True, allow_retry=True)

    assert decide(found, past) == Decision(Step.AGAIN, 0.5, RETRIED)
    assert decide(found, Past(2, had=frozenset({RETRIED}))) == FAIL


@keyed_or_not
@kinds(OF_THE_UPSTREAM)
def test_an_error_event_that_allows_no_retry_is_the_end(kind: FaultKind, past: Past) -> None:
    found = fault(kind, Reach.ANSWERED, in_band=True, allow_retry=False)

    assert decide(found, past) == FAIL


# 200, and then nothing, or something.


@keyed_or_not
@kinds(OF_THE_UPSTREAM)
def test_an_answer_that_breaks_off_before_it_began_is_the_end(kind: FaultKind, past: Past) -> None:
    assert decide(fault(kind, Reach.ANSWERED), past) == FAIL


@keyed_or_not
@kinds(list(FaultKind))
@pytest.mark.parametrize("in_band", [False, True])
def test_nothing_is_asked_again_behind_anything_of_the_answer(
    kind: FaultKind, past: Past, in_band: bool
) -> None:
    assert decide(fault(kind, Reach.BEGUN, in_band=in_band), past) == FAIL


# Given up: the worker was drained.


@pytest.mark.parametrize(
    ("reach", "past", "again"),
    [
        (Reach.UNSENT, Past(), True),
        (Reach.UNSENT, Past(keyed=True), True),
        (Reach.SENT, Past(), True),
        (Reach.SENT, Past(keyed=True), False),
        (Reach.SENT, Past(had=frozenset({UNHEARD})), False),
        (Reach.SENT, Past(had=frozenset({CORRECTED})), False),
        (Reach.REFUSED, Past(keyed=True), True),
        (Reach.ANSWERED, Past(), False),
        (Reach.BEGUN, Past(), False),
    ],
)
def test_a_call_that_was_given_up(reach: Reach, past: Past, again: bool) -> None:
    assert runs_again(reach, past) is again
