"""dispatch.lua: what the free keys of a worker cannot serve waits, in its client's order."""

from __future__ import annotations

from collections import Counter

import pytest

from contract.messages import Failed
from tests.support.scripts import Scripts, finished


def _flood(
    scripts: Scripts, client: str, count: int, model: str = "free", weight: float = 1
) -> list[str]:
    jobs = [f"{client}.{model}.{n}" for n in range(count)]
    for job in jobs:
        scripts.enqueue(job, client, model=model, weight=weight)
    return jobs


def _taken(scripts: Scripts, n: int = 1, **room: int) -> list[str]:
    """The ids of the next jobs, which end at once."""
    given = scripts.dispatch(n, **room)
    if given:
        scripts.append(*[finished(each) for each in given])
    return [each.id for each in given]


def test_a_worker_gets_nothing_that_its_free_keys_cannot_serve(scripts: Scripts) -> None:
    _flood(scripts, "ann", 5, "dear")

    taken = _taken(scripts, 3, dear=0)

    assert taken == []
    assert {scripts.state(f"ann.dear.{n}") for n in range(5)} == {"again"}
    assert scripts.tally() == {"open": 5}


def test_what_can_be_served_overtakes_what_cannot_even_of_the_same_client(
    scripts: Scripts,
) -> None:
    _flood(scripts, "ann", 3, "dear")
    free = _flood(scripts, "ann", 2)

    taken = _taken(scripts, 2, dear=0)

    assert taken == free


def test_what_waits_for_a_fit_key_keeps_its_order(scripts: Scripts) -> None:
    jobs = _flood(scripts, "ann", 6, "dear")
    _taken(scripts, 1, dear=0)

    taken = [job for _ in range(6) for job in _taken(scripts)]

    assert taken == jobs


def test_no_more_is_taken_of_a_model_than_there_are_keys_for(scripts: Scripts) -> None:
    dear, free = _flood(scripts, "ann", 4, "dear"), _flood(scripts, "ann", 4)

    taken = _taken(scripts, 4, dear=1)

    assert taken == [dear[0], *free[:3]]


def test_clients_take_turns_at_the_one_fit_key(scripts: Scripts) -> None:
    _flood(scripts, "ann", 60, "dear")
    _taken(scripts, 1, dear=0)
    _flood(scripts, "bob", 3, "dear")

    order = []
    for _ in range(6):
        order += [job.partition(".")[0] for job in _taken(scripts, 1, dear=0) + _taken(scripts)]

    assert Counter(order) == {"ann": 3, "bob": 3}


def test_a_client_that_waits_for_a_fit_key_saves_up_no_turns(scripts: Scripts) -> None:
    _flood(scripts, "ann", 60, "dear")
    _flood(scripts, "bob", 200)
    for _ in range(50):
        _taken(scripts, 1, dear=0)

    # Now every key is fit.
    order = [_taken(scripts)[0].partition(".")[0] for _ in range(20)]

    assert Counter(order) == pytest.approx({"ann": 10, "bob": 10}, abs=1)


def test_weights_hold_where_streams_and_lines_compete(scripts: Scripts) -> None:
    _flood(scripts, "ann", 100, "dear", weight=3)
    _flood(scripts, "bob", 100)
    _taken(scripts, 1, dear=0)

    order = [_taken(scripts)[0].partition(".")[0] for _ in range(80)]

    assert Counter(order) == pytest.approx({"ann": 60, "bob": 20}, abs=1)


def test_a_hand_back_goes_before_its_own_clients_jobs_and_no_one_elses(scripts: Scripts) -> None:
    _flood(scripts, "ann", 20)
    given = scripts.dispatch(10)
    _flood(scripts, "bob", 5)
    for each in given:
        scripts.requeue(each)

    order = [_taken(scripts)[0] for _ in range(10)]

    assert [job for job in order if job.startswith("ann")] == [f"ann.free.{n}" for n in range(5)]
    assert [job for job in order if job.startswith("bob")] == [f"bob.free.{n}" for n in range(5)]


def test_a_hand_back_costs_its_client_no_turn(scripts: Scripts) -> None:
    _flood(scripts, "ann", 20)
    _flood(scripts, "bob", 20)
    order = []
    for _ in range(20):
        (given,) = scripts.dispatch(1)
        if given.id.startswith("ann") and given.attempt == 1:
            scripts.requeue(given)
            (given,) = scripts.dispatch(1)
        scripts.append(finished(given))
        order.append(given.id.partition(".")[0])

    assert Counter(order) == {"ann": 10, "bob": 10}


def test_a_job_that_is_handed_back_again_and_again_comes_ever_later(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    times = 0

    for _ in range(1000):
        for given in scripts.dispatch(1):
            scripts.requeue(given)
            times += 1
        scripts.now += 10

    assert 10 <= times <= 20


def test_a_job_in_a_line_ends_when_its_time_is_up(scripts: Scripts) -> None:
    scripts.enqueue("j1", model="dear", wait=1000)
    _taken(scripts, 1, dear=0)
    scripts.now += 1000

    scripts.reclaim()

    assert [end.message for end in scripts.ends("j1") if isinstance(end, Failed)] == ["too late"]
    assert scripts.tally() == {}
    assert not scripts.redis.keys("p2g:l[ai]ne*")


def test_a_client_that_leaves_leaves_its_line(scripts: Scripts) -> None:
    _flood(scripts, "ann", 2, "dear")
    _taken(scripts, 1, dear=0)

    told = [scripts.cancel(f"ann.dear.{n}") for n in range(2)]

    assert told == ["dropped"] * 2
    assert scripts.dispatch(5) == []
    assert not scripts.redis.keys("p2g:l[ai]ne*")


def test_what_is_in_lines_counts_as_waiting(scripts: Scripts) -> None:
    _flood(scripts, "ann", 3, "dear")
    _taken(scripts, 1, dear=0)

    of_client = scripts.enqueue("one-more", most=3)
    in_all = scripts.enqueue("one-more", "bob", most_in_all=3)

    assert (of_client, in_all) == (["full", 3], ["full", 3])


def test_a_job_in_a_line_that_redis_has_forgotten_leaves_no_trace(scripts: Scripts) -> None:
    scripts.enqueue("j1", model="dear")
    _taken(scripts, 1, dear=0)
    scripts.redis.delete("p2g:job:{j1}")

    assert scripts.dispatch(5) == []
    assert not scripts.redis.keys("p2g:l[ai]ne*")
    assert not scripts.redis.exists("p2g:again")


def test_a_flood_that_nobody_can_serve_is_moved_piece_by_piece(scripts: Scripts) -> None:
    _flood(scripts, "ann", 250, "dear")
    scripts.enqueue("quick", "bob")

    moved, taken = [], []
    for _ in range(3):
        taken += _taken(scripts, 3, dear=0)
        moved.append(scripts.redis.zcard("p2g:again"))

    assert moved == [100, 200, 250]
    assert taken == ["quick"]


@pytest.mark.parametrize("waiting", [10, 1000])
def test_a_dispatch_takes_as_many_steps_however_much_waits(scripts: Scripts, waiting: int) -> None:
    for client in ("ann", "bob"):
        _flood(scripts, client, waiting, "dear")
    for _ in range(2 * waiting // 100 + 1):
        _taken(scripts, 1, dear=0)
    scripts.redis.config_resetstat()

    _taken(scripts, 1, dear=0)
    scripts.dispatch(1)

    # What the support itself looks at is none of them.
    looks = {"cmdstat_type", "cmdstat_pttl", "cmdstat_keys", "cmdstat_eval"}
    stats = scripts.redis.info("commandstats")
    assert sum(row["calls"] for name, row in stats.items() if name not in looks) < 60
