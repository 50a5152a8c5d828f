"""What each kind of fault means for the next attempt and for the client."""

from __future__ import annotations

import pytest

from contract.messages import Failed, FailureKind
from worker.poe.faults import Blame, Fault, FaultKind, blame, to_failure

REFUSALS = {
    FaultKind.BAD_KEY,
    FaultKind.NO_POINTS,
    FaultKind.RATE_LIMITED,
    FaultKind.NOT_ENTITLED,
    FaultKind.NO_API_ACCESS,
    FaultKind.MODEL_NOT_FOUND,
    FaultKind.CONTENT_REFUSED,
    FaultKind.TOO_LONG,
    FaultKind.BAD_REQUEST,
    FaultKind.CONTENT_LOST,
}


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_has_somebody_to_blame(kind: FaultKind) -> None:
    assert isinstance(blame(kind), Blame)


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_becomes_a_failure_that_says_something(kind: FaultKind) -> None:
    failed = to_failure(Fault(kind), output=False)

    assert isinstance(failed.kind, FailureKind)
    assert failed.message.endswith(".")


@pytest.mark.parametrize("kind", FaultKind)
def test_only_an_explicit_refusal_is_known_to_be_free(kind: FaultKind) -> None:
    assert to_failure(Fault(kind), output=False).charged == (kind not in REFUSALS)
    assert to_failure(Fault(kind), output=True).charged
    assert not to_failure(Fault(kind, sent=False), output=False).charged


def test_a_failure_carries_what_the_fault_knows() -> None:
    fault = Fault(FaultKind.RATE_LIMITED, "Slower, please.", retry_after=7.0)

    failed = to_failure(fault, output=False)

    assert failed == Failed(FailureKind.RATE_LIMITED, "Slower, please.", 7.0, charged=False)


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        (Fault(FaultKind.BAD_REQUEST, "No."), "<Fault BAD_REQUEST: No.>"),
        (Fault(FaultKind.EMPTY, "No.", sent=False), "<Fault EMPTY (not sent): No.>"),
    ],
)
def test_a_fault_can_be_read_in_a_log(fault: Fault, shown: str) -> None:
    assert repr(fault) == shown
    assert str(fault) in ("BAD_REQUEST: No.", "EMPTY: No.")
