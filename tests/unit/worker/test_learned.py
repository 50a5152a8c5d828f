"""What models have refused."""

from __future__ import annotations

from worker.learned import MOST, MOST_MODELS, Learned


def test_a_refusal_is_known_for_its_model_and_upstream_only() -> None:
    learned = Learned()

    learned.note("messages", "a", {("x",)})
    learned.note("messages", "a", {("y", "z")})

    assert learned.refused("messages", "a") == {("x",), ("y", "z")}
    assert learned.refused("messages", "b") == learned.refused("responses", "a") == set()


def test_the_oldest_are_forgotten() -> None:
    learned = Learned()

    for number in range(MOST + 1):
        learned.note("messages", "a", {(str(number),)})
        learned.note("messages", "a", {("0",)})
    for number in range(MOST_MODELS - 1):
        learned.note("messages", f"m{number}", {("x",)})

    assert len(learned.refused("messages", "a")) == MOST
    assert ("0",) in learned.refused("messages", "a")
    assert ("1",) not in learned.refused("messages", "a")
    learned.note("messages", "new", {("x",)})
    assert not learned.refused("messages", "a")
