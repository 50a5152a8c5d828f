"""What a job has been through, and what it may have cost."""

from __future__ import annotations

import pytest

from worker.poe.faults import Fault, FaultKind, Reach
from worker.policy.history import History
from worker.policy.retry import CORRECTED, RETRIED, UNHEARD, Past


def test_what_a_job_has_tried_is_told_apart_by_what_it_is() -> None:
    history = History({"token-1", "token-2", "openai", RETRIED}, 2, keyed=True)

    assert history.past == Past(2, tokens_tried=2, had=frozenset({RETRIED}), keyed=True)
    assert not history.is_corrected


@pytest.mark.parametrize(
    ("fault", "tokens", "upstream_failures"),
    [
        pytest.param(Fault(FaultKind.BAD_KEY), 1, 0, id="a bad key"),
        pytest.param(Fault(FaultKind.NOT_ENTITLED), 1, 0, id="a model that the key may not have"),
        pytest.param(Fault(FaultKind.RATE_LIMITED), 0, 0, id="a limit, which passes"),
        pytest.param(Fault(FaultKind.RATE_LIMITED, in_band=True), 1, 0, id="a limit of a bot's"),
        pytest.param(Fault(FaultKind.OVERLOADED), 0, 1, id="an overloaded upstream"),
        pytest.param(Fault(FaultKind.BAD_REQUEST), 1, 0, id="a bad request"),
    ],
)
def test_a_fault_counts_against_whoever_is_to_blame(
    fault: Fault, tokens: int, upstream_failures: int
) -> None:
    history = History()

    history.note_fault(fault, "token-1")

    assert history.past == Past(upstream_failures, tokens_tried=tokens)


@pytest.mark.parametrize("reach", Reach)
def test_a_call_that_was_answered_may_have_been_charged(reach: Reach) -> None:
    history = History()

    history.note_reach(reach)
    history.note_reach(Reach.UNSENT)

    assert history.may_be_charged is (reach >= Reach.ANSWERED)


def test_a_call_that_poe_may_have_run_counts_as_charged_from_then_on() -> None:
    history = History()

    history.note_cost(Fault(FaultKind.RATE_LIMITED))
    assert not history.may_be_charged
    history.note_cost(Fault(FaultKind.CUT))
    history.note_cost(Fault(FaultKind.RATE_LIMITED))

    assert history.may_be_charged
    assert history.failure(Fault(FaultKind.RATE_LIMITED)).charged


def test_a_job_that_was_corrected_has_had_an_answer() -> None:
    assert History({CORRECTED}).may_be_charged


@pytest.mark.parametrize("reach", Reach)
def test_only_a_call_that_was_sent_and_never_heard_of_is_given_up_once(reach: Reach) -> None:
    history = History()

    history.note_given_up(reach)

    assert (UNHEARD in history.tried) is (reach is Reach.SENT)
