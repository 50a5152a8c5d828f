"""enqueue.lua: a job is accepted once, or refused for a reason."""

from __future__ import annotations

from typing import Any

import pytest

from contract import keys
from tests.support.scripts import Scripts, finished


def test_the_place_in_the_line_is_told(scripts: Scripts) -> None:
    first, second = scripts.enqueue("j1"), scripts.enqueue("j2")

    assert (first, second) == (["queued", 1, 1], ["queued", 2, 2])
    assert scripts.tally() == {"waiting": 2, "open": 2}
    assert scripts.waiting() == 2


def test_the_place_counts_only_those_who_still_wait(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.enqueue("j2")
    scripts.dispatch(2)

    ticket = scripts.enqueue("j3")

    assert ticket == ["queued", 3, 1]


def test_a_job_that_is_sent_twice_is_queued_once(scripts: Scripts) -> None:
    ticket = scripts.enqueue("j1")

    again = scripts.enqueue("j1")

    assert again == ticket
    assert scripts.tally() == {"waiting": 1, "open": 1}
    assert [given.id for given in scripts.dispatch(5)] == ["j1"]


def test_a_job_that_is_sent_again_after_its_end_is_not_run_again(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.append(finished(scripts.dispatch()[0]))

    scripts.enqueue("j1")

    assert scripts.dispatch(5) == []
    assert scripts.tally() == {}


@pytest.mark.parametrize(
    ("bounds", "refusal"),
    [
        pytest.param({"most": 2}, ["full", 2], id="most of one client"),
        pytest.param({"most_in_all": 3}, ["full", 3], id="most in all"),
        pytest.param({"unfinished": 2}, ["busy", 2], id="most unfinished of one client"),
    ],
)
def test_a_full_line_takes_nobody(
    scripts: Scripts, bounds: dict[str, Any], refusal: list[Any]
) -> None:
    scripts.enqueue("other", "bob")
    scripts.enqueue("j1")
    scripts.enqueue("j2")

    reply = scripts.enqueue("j3", **bounds)

    assert reply == refusal
    assert scripts.state("j3") is None
    assert scripts.tally() == {"waiting": 2, "open": 2}


def test_a_repeated_job_is_known_even_when_the_line_is_full(scripts: Scripts) -> None:
    ticket = scripts.enqueue("j1", most=1)

    again = scripts.enqueue("j1", most=1, most_in_all=1, unfinished=1, per_minute=1)

    assert again[:3] == ticket


def test_a_running_job_counts_as_unfinished_until_it_ends(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    given = scripts.dispatch()[0]
    busy = scripts.enqueue("j2", unfinished=1)
    scripts.append(finished(given))

    ticket = scripts.enqueue("j2", unfinished=1)

    assert busy == ["busy", 1]
    assert ticket == ["queued", 2, 1]


def test_the_rate_of_a_client_is_counted_over_any_minute(scripts: Scripts) -> None:
    scripts.enqueue("j1", per_minute=2)
    scripts.now += 10_000
    scripts.enqueue("j2", per_minute=2)
    scripts.now += 20_000
    early = scripts.enqueue("j3", per_minute=2)
    scripts.now += early[1]

    late = scripts.enqueue("j3", per_minute=2)

    assert early == ["limited", 30_000]
    assert late[0] == "queued"


def test_a_refused_job_does_not_count_against_the_rate(scripts: Scripts) -> None:
    scripts.enqueue("j1", per_minute=2)
    for n in range(5):
        scripts.enqueue(f"full{n}", most=1, per_minute=2)

    ticket = scripts.enqueue("j2", per_minute=2)

    assert ticket[0] == "queued"


def test_a_newcomer_enters_the_ring_at_the_present(scripts: Scripts) -> None:
    for n in range(10):
        scripts.enqueue(f"j{n}")
    scripts.dispatch(7)

    scripts.enqueue("b1", "bob")

    assert scripts.ring() == {"ann": 7.0, "bob": 6.0}


def test_a_client_that_comes_back_at_once_enters_where_it_left(scripts: Scripts) -> None:
    scripts.enqueue("j1", weight=0.25)
    scripts.dispatch()

    scripts.enqueue("j2", weight=0.25)

    assert scripts.ring() == {"ann": 4.0}


def test_the_bell_is_bounded(scripts: Scripts) -> None:
    for n in range(1010):
        scripts.enqueue(f"j{n}", most=2000)

    assert scripts.redis.llen(keys.BELL) == 1000
