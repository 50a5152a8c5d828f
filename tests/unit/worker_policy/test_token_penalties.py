"""What a fault teaches all workers about its token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.calls.tokens import TokenUpdate
from worker.poe.faults import Fault, FaultKind
from worker.poe.limits import RateLimits
from worker.policy import token_penalties
from worker.policy.token_penalties import penalty_of


def _note(
    kind: FaultKind, *, strikes: int = 1, retry_after: float | None = None
) -> TokenUpdate | None:
    fault = Fault(kind, retry_after=retry_after)
    return penalty_of(fault, model="Bot", strikes=strikes, luck=0.5)


TEACHES = {
    FaultKind.RATE_LIMITED,
    FaultKind.NO_POINTS,
    FaultKind.BAD_KEY,
    FaultKind.NOT_ENTITLED,
}


@pytest.mark.parametrize("kind", list(FaultKind), ids=lambda kind: kind.name)
def test_only_faults_of_the_token_teach_anything(kind: FaultKind) -> None:
    assert (_note(kind) is not None) is (kind in TEACHES)


@pytest.mark.parametrize("strikes", [1, 2, 9])
def test_poes_own_word_on_the_rest_counts(strikes: int) -> None:
    note = _note(FaultKind.RATE_LIMITED, strikes=strikes, retry_after=2.0)

    assert note == TokenUpdate(rest=2.0, strikes=strikes)


@pytest.mark.parametrize(("strikes", "rest"), [(1, 10), (2, 20), (3, 40), (6, 300), (1000, 300)])
def test_without_it_the_rest_doubles_with_every_strike(strikes: int, rest: float) -> None:
    note = _note(FaultKind.RATE_LIMITED, strikes=strikes)

    assert note is not None
    assert (note.rest, note.park, note.strikes) == pytest.approx((rest, 0, strikes))


@pytest.mark.parametrize(("strikes", "park"), [(1, 900), (2, 1800), (5, 14_400), (99, 14_400)])
def test_a_token_without_points_is_set_aside_ever_longer(strikes: int, park: float) -> None:
    note = _note(FaultKind.NO_POINTS, strikes=strikes)

    assert note is not None
    assert (note.park, note.rest) == pytest.approx((park, 0.0))
    assert note.state == token_penalties.NO_POINTS


def test_a_key_that_poe_does_not_know_is_left_alone_for_a_day() -> None:
    note = _note(FaultKind.BAD_KEY)

    assert note is not None
    assert (note.park, note.rest, note.state) == (86_400.0, 0.0, token_penalties.BAD_KEY)


def test_a_refused_model_says_nothing_of_the_token_otherwise() -> None:
    assert _note(FaultKind.NOT_ENTITLED) == TokenUpdate(
        unfit_model="Bot", unfit=token_penalties.UNFIT_LIFE
    )


@given(
    first=st.floats(0.1, 1000),
    factor=st.floats(1, 100),
    strikes=st.integers(1, 10_000),
    luck=st.floats(0, 1),
)
def test_a_backoff_never_shrinks_and_stays_within_a_tenth_of_its_bounds(
    first: float, factor: float, strikes: int, luck: float
) -> None:
    longest = first * factor

    now = token_penalties.backoff(first, longest, strikes, luck)
    later = token_penalties.backoff(first, longest, strikes + 1, luck)

    assert 0.9 * first <= now * (1 + 1e-9)
    assert later >= now
    assert later <= 1.1 * longest * (1 + 1e-9)


@pytest.mark.parametrize("state", [token_penalties.BAD_KEY, token_penalties.NO_POINTS])
def test_the_balance_is_looked_at_more_often_than_the_token_comes_back(state: str) -> None:
    parked = {
        token_penalties.BAD_KEY: token_penalties.BAD_KEY_PARK,
        token_penalties.NO_POINTS: token_penalties.NO_POINTS_PARK,
    }

    assert 0 < token_penalties.look_every(state) < parked[state]


@pytest.mark.parametrize("kind", [FaultKind.NO_POINTS, FaultKind.BAD_KEY], ids=lambda k: k.name)
@pytest.mark.parametrize(
    ("in_band", "life"),
    [(False, token_penalties.TOO_DEAR_LIFE), (True, token_penalties.IN_BAND_LIFE)],
)
def test_what_no_balance_confirms_is_held_against_the_model_alone(
    kind: FaultKind, in_band: bool, life: float
) -> None:
    fault = Fault(kind, in_band=in_band)

    note = penalty_of(fault, model="Bot", strikes=1, luck=0.5, proven=False)

    assert note == TokenUpdate(unfit_model="Bot", unfit=life)


@pytest.mark.parametrize("kind", [FaultKind.RATE_LIMITED, FaultKind.NOT_ENTITLED])
def test_a_bots_own_words_rest_no_account(kind: FaultKind) -> None:
    note = penalty_of(Fault(kind, in_band=True), model="Bot", strikes=0, luck=0.5)

    assert note == TokenUpdate(unfit_model="Bot", unfit=token_penalties.IN_BAND_LIFE)


@pytest.mark.parametrize(
    ("limits", "was_well", "update"),
    [
        pytest.param(None, True, None, id="nothing new"),
        pytest.param(RateLimits(remaining=3, reset=20.0), True, None, id="some calls left"),
        pytest.param(RateLimits(remaining=0), True, None, id="none left, for who knows how long"),
        pytest.param(
            RateLimits(remaining=0, reset=20.0), True, TokenUpdate(rest=20.0), id="none left"
        ),
        pytest.param(None, False, TokenUpdate(park=-1.0), id="well again"),
        pytest.param(
            RateLimits(remaining=0, reset=20.0),
            False,
            TokenUpdate(rest=20.0, park=-1.0),
            id="well again, and none left",
        ),
    ],
)
def test_an_answer_says_what_the_token_can_do_next(
    limits: RateLimits | None, was_well: bool, update: TokenUpdate | None
) -> None:
    assert token_penalties.update_after_answer(limits, was_well=was_well) == update
