"""When a dead program is started again."""

from __future__ import annotations

from poe2gpt.restarts import Restarts


def test_each_quick_death_is_followed_by_a_longer_wait_and_the_fifth_by_none() -> None:
    restarts = Restarts()

    waits = [restarts.after(lived=0.1) for _ in range(5)]

    assert waits == [0.5, 1.0, 2.0, 4.0, None]


def test_a_long_life_clears_the_record() -> None:
    restarts = Restarts()
    for _ in range(4):
        restarts.after(lived=0.1)

    after_long_life = restarts.after(lived=3600)
    after_quick_one = restarts.after(lived=0.1)

    assert (after_long_life, after_quick_one) == (0.25, 0.5)
