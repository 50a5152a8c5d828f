"""Choosing among very many tokens takes a few steps; TokenPool's machine shows that it is right."""

from __future__ import annotations

from worker.policy.readiness import NEVER, Rank, Readiness

COUNT = 10_000
KEYS = [f"t{n}" for n in range(COUNT)]


class Counted:
    """The ranks of tokens, and how often they were asked for."""

    def __init__(self) -> None:
        self.ranks: dict[str, Rank] = {}
        self.asked = 0
        self.readiness = Readiness(KEYS, self._rank)
        for key in KEYS:
            self.readiness.put(key, 0.0)

    def _rank(self, key: str) -> Rank:
        self.asked += 1
        return self.ranks.get(key, (0, 0.0))

    def best(self, now: float, *excluded: str) -> tuple[str | None, float]:
        return self.readiness.best(now, lambda key: NEVER if key in excluded else 0.0)


def test_each_token_is_ranked_once_and_then_only_when_it_has_changed() -> None:
    tokens = Counted()
    tokens.best(1.0)
    first = tokens.asked

    for now in range(2, 1002):
        key, _ = tokens.best(float(now))
        assert key is not None
        tokens.ranks[key] = (0, float(now))
        tokens.readiness.put(key, now + 0.5)

    assert first == COUNT
    assert tokens.asked <= first + 1000


def test_what_is_left_out_is_there_the_next_time() -> None:
    tokens = Counted()

    found = [tokens.best(1.0, "t0", "t1")[0], tokens.best(1.0, "t1")[0], tokens.best(1.0)[0]]

    assert found == ["t2", "t0", "t0"]


def test_entries_that_no_longer_count_do_not_pile_up() -> None:
    tokens = Counted()
    for now in range(200_000):
        tokens.readiness.put(KEYS[now % 7], 1e9 - now)

    assert len(tokens.readiness) <= 3 * COUNT


def test_none_is_chosen_that_was_taken_away() -> None:
    tokens = Counted()
    for key in KEYS:
        tokens.readiness.remove(key)
    tokens.readiness.put("t5", 7.0)

    assert tokens.best(1.0) == (None, 7.0)
    assert tokens.best(7.0) == ("t5", 7.0)
