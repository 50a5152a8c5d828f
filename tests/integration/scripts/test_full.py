"""A Redis that is full: only what brings new work is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import exceptions

from contract.messages import Failed
from tests.support.scripts import Scripts, finished, text


@pytest.fixture
def full(scripts: Scripts) -> Iterator[Scripts]:
    """Two jobs are in it: `j1` at a worker, and `j2`, which waits."""
    scripts.heartbeat("w1", ["b"])
    scripts.enqueue("j1")
    scripts.enqueue("j2")
    scripts.redis.config_set("maxmemory", "1")
    yield scripts
    scripts.redis.config_set("maxmemory", "0")


@pytest.mark.parametrize("per_minute", ["", 10])
def test_new_work_is_refused(full: Scripts, per_minute: int | str) -> None:
    with pytest.raises(exceptions.OutOfMemoryError):
        full.enqueue("j3", per_minute=per_minute)

    with pytest.raises(exceptions.OutOfMemoryError):
        full.claim("j3")


def test_what_waits_is_run_to_its_end(full: Scripts) -> None:
    given = full.dispatch(2)
    assert full.acquire("g1", job=given[0].id)[0] == "granted"

    verdicts = full.append(text(given[0]), finished(given[0], 2))

    assert verdicts == [0, 0]
    assert full.requeue(given[1]) == 1


def test_what_is_cancelled_is_dropped(full: Scripts) -> None:
    assert full.cancel("j2") == "dropped"


def test_those_who_live_are_still_known_to(full: Scripts) -> None:
    assert full.heartbeat("w1", ["b"]) == {"b": 1}


def test_what_the_dead_leave_behind_is_seen_to(full: Scripts) -> None:
    given = full.dispatch()[0]
    full.append(text(given))
    full.now += 10_000

    assert full.reclaim() == ["w1"]
    assert isinstance(full.ends(given.id)[0], Failed)
