"""How often wrong keys may come from an address."""

from __future__ import annotations

import pytest

from runtime.guesses import BURST, LOG_EVERY, REFILL, REMEMBERED, Guesses

NOW = 1_000.0
HERE, THERE = "192.0.2.1", "192.0.2.2"
RIGHT = b"a digest"


def guessed(times: int, address: str = HERE, now: float = NOW) -> Guesses:
    guesses = Guesses()
    for _ in range(times):
        guesses.wrong(address, now)
    return guesses


def test_a_few_wrong_keys_are_mistakes() -> None:
    assert guessed(BURST - 1).wait(HERE, RIGHT, NOW) == 0


def test_after_too_many_no_key_is_looked_at_for_a_while() -> None:
    guesses = guessed(BURST)

    assert guesses.wait(HERE, RIGHT, NOW) == pytest.approx(REFILL)
    assert guesses.wait(HERE, RIGHT, NOW + REFILL) == 0


def test_another_address_is_not_to_blame() -> None:
    assert guessed(BURST).wait(THERE, RIGHT, NOW) == 0


def test_a_key_that_was_accepted_from_there_is_accepted_again() -> None:
    guesses = guessed(BURST)
    guesses.accepted(HERE, RIGHT)

    assert guesses.wait(HERE, RIGHT, NOW) == 0
    assert guesses.wait(HERE, b"another digest", NOW) > 0
    assert guesses.wait(THERE, b"another digest", NOW) == 0


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param("2001:db8:0:1:2::9", True, id="one network"),
        pytest.param("2001:db8:0:2::1", False, id="another network"),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(other: str, same: bool) -> None:
    guesses = guessed(BURST, "2001:db8:0:1::1")

    assert (guesses.wait(other, RIGHT, NOW) > 0) is same


def test_the_log_is_told_at_once_and_then_now_and_again_of_all_since() -> None:
    guesses = Guesses()

    told = [guesses.wrong(HERE, NOW) for _ in range(3)]
    told += [guesses.throttled(HERE, NOW + LOG_EVERY)]

    assert told == [1, 0, 0, 3]


def test_however_many_addresses_guess_only_some_are_remembered() -> None:
    guesses = guessed(1, HERE)
    for number in range(REMEMBERED):
        guesses.wrong(f"host-{number}", NOW)
        guesses.accepted(f"host-{number}", RIGHT)
    guesses.accepted(HERE, RIGHT)

    assert repr(guesses) == f"Guesses({REMEMBERED} addresses, {REMEMBERED} accepted keys)"


def test_a_key_that_works_no_longer_is_a_guess_like_any_other() -> None:
    guesses = guessed(BURST, HERE)
    guesses.accepted(HERE, RIGHT)
    before = guesses.wait(HERE, RIGHT, NOW)

    guesses.wrong(HERE, NOW, RIGHT)

    assert before == 0
    assert guesses.wait(HERE, RIGHT, NOW) > 0
