"""What an alert says, and when its delivery is tried again."""

from __future__ import annotations

from contract.alerts import Alert
from worker.policy.alerting import LONGEST_PAUSE, PATIENCE, body_of, pause_after, text_of

MONTHLY = Alert(
    "key:0a:month:2026-11", "key", "ann", "month", 80, 160_123, 200_000, 1_796_083_200_000,
    1_795_780_800_123,
)  # fmt: skip
IN_ALL = Alert("group:lab:total", "group", "lab", "total", 100, 1_000, 1_000)


def test_the_text_says_whose_budget_it_is_how_much_is_spent_and_when_it_renews() -> None:
    assert text_of(MONTHLY) == (
        "The monthly budget of the key ann is 80 % spent: 160,123 of 200,000 points;"
        " it renews at 2026-12-01T00:00:00Z."
    )
    assert text_of(IN_ALL) == (
        "The total budget of the group lab is used up: 1,000 of 1,000 points."
    )


def test_the_body_has_all_of_it_for_programs_and_an_id_for_those_who_get_it_twice() -> None:
    assert body_of(MONTHLY) == {
        "text": text_of(MONTHLY),
        "type": "budget",
        "id": "key:0a:month:2026-11:80:200000",
        "kind": "key",
        "name": "ann",
        "period": "month",
        "percent": 80,
        "spent": 160_123,
        "limit": 200_000,
        "at": "2026-11-27T12:00:00Z",
        "renews": "2026-12-01T00:00:00Z",
    }
    assert body_of(IN_ALL)["renews"] is None


def test_pauses_double_and_a_day_later_nothing_is_tried() -> None:
    age, pauses = 0.0, []
    while pause := pause_after(age):
        pauses.append(pause)
        age += pause

    assert pauses[:5] == [5, 5, 10, 20, 40]
    assert max(pauses) == LONGEST_PAUSE
    assert age >= PATIENCE
    assert len(pauses) < 50
