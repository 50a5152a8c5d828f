"""The phase of a run, and the reason to stop it."""

from __future__ import annotations

import pytest

from worker.policy.run_state import Phase, RunState, Stop


def at(phase: Phase) -> RunState:
    state = RunState()
    state.reach(phase)
    return state


def test_a_run_goes_forward_and_never_back() -> None:
    state = at(Phase.ENDED)

    for phase in Phase:
        state.reach(phase)

    assert state.phase is Phase.ENDED


@pytest.mark.parametrize(
    ("phase", "interrupted"),
    [
        pytest.param(Phase.WAITING, False, id="that will see it by itself"),
        pytest.param(Phase.ASKING, True, id="that asks"),
        pytest.param(Phase.ANSWERING, True, id="that answers"),
        pytest.param(Phase.ENDED, False, id="that has ended"),
    ],
)
def test_only_a_run_that_is_under_way_is_interrupted(phase: Phase, *, interrupted: bool) -> None:
    assert at(phase).request_stop(Stop.CLIENT_LEFT) is interrupted


@pytest.mark.parametrize("first", Stop)
@pytest.mark.parametrize("second", Stop)
def test_the_weightier_reason_stays_whatever_the_order(first: Stop, second: Stop) -> None:
    state = at(Phase.ASKING)

    state.request_stop(first)
    state.request_stop(second)

    assert state.stop is max(first, second)


def test_a_job_that_another_worker_has_outweighs_a_drain_and_a_drain_a_client_that_left() -> None:
    assert sorted(Stop) == [Stop.CLIENT_LEFT, Stop.DRAIN, Stop.REASSIGNED]
