"""For how long a call waits."""

from __future__ import annotations

import pytest

from contract.calls.tokens import Lost, Refused
from worker.policy.readiness import NEVER
from worker.policy.waiting import (
    BRIEF,
    CLAIM_PAUSE,
    FULL_PAUSE,
    LOST_PAUSE,
    claim_pause,
    is_brief,
    pause_after,
)

NOW, GIVE_UP = 100.0, 115.0


@pytest.mark.parametrize(
    ("wait", "brief"),
    [
        pytest.param(BRIEF / 2, True, id="a moment"),
        pytest.param(BRIEF, False, id="longer"),
        pytest.param(None, False, id="until a call ends"),
    ],
)
def test_a_refused_call_waits_by_itself_only_for_a_moment(
    wait: float | None, *, brief: bool
) -> None:
    assert is_brief(Refused(wait)) is brief


@pytest.mark.parametrize(
    ("reply", "pause"),
    [
        pytest.param(Refused(7.0), 7.0, id="as long as the limit wants"),
        pytest.param(Refused(0.0), 0.0, id="not at all"),
        pytest.param(Refused(None), FULL_PAUSE, id="a while, for nobody knows"),
        pytest.param(Lost(), LOST_PAUSE, id="until the next heartbeat"),
    ],
)
def test_a_refusal_says_when_to_ask_again(reply: Refused | Lost, pause: float) -> None:
    assert pause_after(reply) == pause


@pytest.mark.parametrize(
    ("ready", "now", "pause"),
    [
        pytest.param(NOW + 0.02, NOW, pytest.approx(0.02), id="soon"),
        pytest.param(NOW + 5, NOW, CLAIM_PAUSE, id="later, or sooner if a call ends"),
        pytest.param(NEVER, NOW, CLAIM_PAUSE, id="when a call ends"),
        pytest.param(GIVE_UP + 1, NOW, None, id="too late"),
        pytest.param(NEVER, GIVE_UP + 1, None, id="not for too long"),
    ],
)
def test_a_claimed_account_is_waited_for_within_bounds(
    ready: float, now: float, pause: float | None
) -> None:
    assert claim_pause(ready, now, GIVE_UP) == pause
