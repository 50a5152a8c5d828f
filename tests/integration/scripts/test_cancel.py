"""cancel.lua: the client has left, whatever the job is doing."""

from __future__ import annotations

from tests.support.keys import keys
from tests.support.scripts import Scripts, finished


def test_a_queued_job_is_dropped(scripts: Scripts) -> None:
    scripts.enqueue("j1")

    told = scripts.cancel("j1")

    assert told == "dropped"
    assert (scripts.tally(), scripts.waiting(), scripts.ring()) == ({}, 0, {})
    assert scripts.redis.xlen("p2g:jobs:ann") == 0


def test_a_client_keeps_its_turn_while_another_job_of_its_waits(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.enqueue("j2")

    scripts.cancel("j1")

    assert scripts.ring() == {"ann": 0.0}
    assert [given.id for given in scripts.dispatch(2)] == ["j2"]


def test_the_worker_of_a_running_job_is_told(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.dispatch(1, "w7")

    with scripts.heard(keys.control("w7")) as messages:
        told = scripts.cancel("j1")

    assert told == "told"
    assert messages == [b"j1"]
    assert scripts.tally() == {"running": 1, "open": 1}


def test_a_job_on_its_way_to_another_worker_is_dropped(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.requeue(scripts.dispatch()[0])

    told = scripts.cancel("j1")

    assert told == "dropped"
    assert scripts.dispatch(1, "w2") == []
    assert (scripts.tally(), scripts.waiting(), scripts.pending()) == ({}, 0, 0)


def test_a_finished_job_is_gone(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.append(finished(scripts.dispatch()[0]))

    told = scripts.cancel("j1")

    assert told == "gone"
    assert scripts.tally() == {}


def test_an_unknown_job_is_gone(scripts: Scripts) -> None:
    assert scripts.cancel("never") == "gone"


def test_cancelling_twice_counts_once(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.enqueue("j2")

    told = [scripts.cancel("j1"), scripts.cancel("j1")]

    assert told == ["dropped", "gone"]
    assert scripts.tally() == {"waiting": 1, "open": 1}


def test_an_enqueue_that_comes_after_its_cancel_queues_nothing(scripts: Scripts) -> None:
    scripts.cancel("j1")

    scripts.enqueue("j1")

    assert scripts.dispatch(1, "w1") == []
    assert scripts.redis.exists("p2g:jobs:c") == 0
