"""requeue.lua: a worker gives back what it cannot run."""

from __future__ import annotations

import pytest

from tests.support.scripts import Scripts, finished, started, text


def test_the_job_is_fenced_at_once(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    given = scripts.dispatch()[0]

    returned = scripts.requeue(given)

    assert returned == 1
    assert scripts.append(started(given)) == [2]
    assert scripts.log("j1") == []


def test_the_job_is_neither_running_nor_waiting_in_the_stream(scripts: Scripts) -> None:
    scripts.enqueue("j1")

    scripts.requeue(scripts.dispatch()[0])

    assert scripts.state("j1") == "again"
    assert (scripts.tally(), scripts.waiting()) == ({"open": 1}, 0)
    assert not scripts.redis.exists("p2g:owned:w1")
    assert scripts.redis.llen("p2g:bell") == 2


def test_a_job_that_is_another_workers_cannot_be_handed_back(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    old = scripts.dispatch(1, "w1")[0]
    scripts.requeue(old, "w1")
    scripts.dispatch(1, "w2")

    returned = scripts.requeue(old, "w1")

    assert returned == 0
    assert scripts.state("j1") == "running"
    assert scripts.redis.smembers("p2g:owned:w2") == {b"j1"}


def test_handing_back_twice_counts_once(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    given = scripts.dispatch()[0]

    returned = [scripts.requeue(given), scripts.requeue(given)]

    assert returned == [1, 0]
    assert scripts.tally() == {"open": 1}


def test_a_job_that_nobody_waits_for_any_more_ends_here(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    given = scripts.dispatch()[0]
    scripts.cancel("j1")

    returned = scripts.requeue(given)

    assert returned == 0
    assert scripts.state("j1") == "done"
    assert (scripts.tally(), scripts.pending()) == ({}, 0)
    assert scripts.dispatch(1, "w2") == []


def test_a_finished_job_cannot_be_handed_back(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    given = scripts.dispatch()[0]
    scripts.append(finished(given))

    returned = scripts.requeue(given)

    assert returned == 0
    assert scripts.dispatch(1, "w2") == []


@pytest.mark.parametrize("rounds", [2, 5])
def test_each_attempt_has_an_epoch_of_its_own(scripts: Scripts, rounds: int) -> None:
    scripts.enqueue("j1")
    attempts = []
    for _ in range(rounds):
        (given,) = scripts.dispatch()
        scripts.append(started(given))
        attempts.append(given)
        scripts.requeue(given)

    (last,) = scripts.dispatch()
    scripts.append(text(last), finished(last, 2))

    epochs = [given.epoch for given in [*attempts, last]]
    assert epochs == sorted(set(epochs))
    assert [given.attempt for given in [*attempts, last]] == list(range(1, rounds + 2))
    assert len(scripts.log("j1")) == rounds + 2


def test_a_job_with_output_whose_end_was_lost_is_ended(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    given = scripts.dispatch()[0]
    scripts.append(text(given))

    assert scripts.requeue(given) == 0

    assert scripts.state("j1") == "done"
    assert [type(end).__name__ for end in scripts.ends("j1")] == ["Failed"]
    assert scripts.tally() == {}
