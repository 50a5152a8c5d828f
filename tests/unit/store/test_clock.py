"""Redis's clock, told from ours: what is a step of it, and what only took long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from store.clock import DRIFT, SMALLEST_STEP, Clock

AHEAD = 1_700_000_000.0
"""From our clock to Redis's, in seconds."""

delays = st.floats(0, 4)
waits = st.floats(0.001, 100)
looks = st.lists(st.tuples(waits, delays, delays, st.floats(-DRIFT, DRIFT)), min_size=1, max_size=8)


def _told(at: float) -> float:
    """What Redis tells: whole milliseconds."""
    return int(at * 1000) / 1000


@given(looks)
def test_however_long_answers_take_and_clocks_drift_no_step_is_seen(
    looks: list[tuple[float, float, float, float]],
) -> None:
    clock, now, ahead = Clock(), 1000.0, AHEAD
    for wait, there, back, drift in looks:
        asked = now = now + wait
        ahead += drift * wait
        now += there
        told = _told(now + ahead)
        now += back

        assert clock.learn(told, asked, now) == 0.0
        earliest, latest = (float(ms) / 1000 for ms in clock.bounds(now).split("-"))
        error = DRIFT * (there + back) + 0.002
        assert earliest - error <= now + ahead <= latest + error


@given(step=st.one_of(st.floats(1, 1e6), st.floats(-1e6, -1)), delay=st.floats(0, 0.4), wait=waits)
def test_a_step_is_seen_and_the_time_goes_on_without_it(
    step: float, delay: float, wait: float
) -> None:
    clock = Clock()
    clock.learn(_told(1000 + AHEAD), 1000, 1000.01)
    asked = 1000 + wait

    seen = clock.learn(_told(asked + AHEAD + step), asked, asked + delay)

    assert abs(seen - step) <= delay / 2 + 0.02
    assert abs(clock.at(asked) - asked - AHEAD) <= 0.02


def test_what_is_less_than_a_step_is_followed() -> None:
    clock = Clock()
    clock.learn(_told(1000 + AHEAD), 1000, 1000.001)

    seen = clock.learn(_told(1001 + AHEAD + SMALLEST_STEP / 2), 1001, 1001.001)

    assert seen == 0.0
    assert abs(clock.at(1001) - 1001 - AHEAD - SMALLEST_STEP / 2) <= 0.002


def test_who_has_not_looked_knows_nothing() -> None:
    clock = Clock()
    before = clock.bounds(5.0)
    clock.learn(AHEAD, 0.0, 0.001)
    clock.forget()

    assert (before, clock.bounds(5.0), clock.known) == ("0", "0", False)
