"""What is shown of the queue."""

from __future__ import annotations

from typing import Any

import msgspec

from admin.queue_view import client_rows, oldest_first
from contract.calls.overview import Answer, LivingWorker, Overview, Waiting
from contract.messages import TokenCounts, WorkerReport


def waiting(client: str, **more: Any) -> Waiting:
    values = {"name": "", "group": "", "turn": 0.0, "weight": 1.0, "since": None, **more}
    counts = {name: values.pop(name, 0) for name in ("waiting", "aside", "running", "gone")}
    return Waiting(client=client, **counts, **values)


def answer(job: str, **more: Any) -> Answer:
    values = {
        "worker": "w",
        "client": "c",
        "name": "",
        "group": "",
        "model": "m",
        "account": "",
        "asked": 0.0,
        "dispatched": None,
        "sent": None,
        "attempt": 1,
        "call": "",
        "has_begun": False,
        "records": 0,
        **more,
    }
    return Answer(job=job, **values)


def overview(*clients: Waiting, free: int = 0, **more: Any) -> Overview:
    report = WorkerReport("w", "1", TokenCounts(free=free), 0)
    base = Overview(100.0, 0, 0, 0, 0, clients, (LivingWorker("w", 1.0, report, 0),))
    return msgspec.structs.replace(base, **more)


def test_a_clients_next_job_has_its_place_among_all_and_a_time() -> None:
    seen = overview(
        waiting("a", turn=1.0, waiting=4, gone=10, since=90.0),
        waiting("b", turn=2.5, waiting=1, weight=2.0),
    )

    a, b = client_rows(seen, rate=0.5)

    assert (a.place, a.eta, a.last_eta, a.waited) == (1, 1.0, 9.0, 10.0)
    assert (b.place, b.eta, b.last_eta, b.waited) == (3, 5.0, None, None)


def test_without_a_rate_no_time_is_known_but_for_what_free_tokens_take() -> None:
    seen = overview(waiting("a", turn=1.0, waiting=2), free=1)

    (row,) = client_rows(seen, rate=0)

    assert (row.eta, row.last_eta) == (0.0, None)


def test_who_waits_for_a_fitting_token_or_not_at_all_has_no_place() -> None:
    seen = overview(waiting("a", turn=3.0, aside=2), waiting("b", turn=None, running=1))

    a, b = client_rows(seen, rate=1)

    assert (a.place, a.eta, a.waiting) == (None, None, 2)
    assert (b.place, b.waiting, b.running) == (None, 0, 1)


def test_a_client_is_called_as_its_key_or_as_it_was_when_it_asked_or_by_its_id() -> None:
    seen = overview(
        waiting("a", name="Ann", group="team"),
        waiting("b"),
        waiting("c"),
        answers=(answer("j", client="a", name="Anna"), answer("k", client="b", name="Bob")),
    )

    assert [(row.name, row.group) for row in client_rows(seen, 1)] == [
        ("Ann", "team"),
        ("Bob", ""),
        ("c", ""),
    ]


def test_answers_come_in_the_order_in_which_they_began() -> None:
    answers = (answer("new", dispatched=9.0), answer("asked", asked=5.0), answer("b"), answer("a"))

    assert [each.job for each in oldest_first(answers)] == ["a", "b", "asked", "new"]
