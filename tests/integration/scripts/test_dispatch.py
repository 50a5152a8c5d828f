"""dispatch.lua: who is next."""

from __future__ import annotations

from collections import Counter

import pytest

from contract.messages import Failed
from tests.support.scripts import Given, Scripts, finished, started, text


def _client(given: Given) -> str:
    return given.id.split("-")[0]


def _flood(scripts: Scripts, client: str, count: int, weight: float = 1) -> None:
    for n in range(count):
        scripts.enqueue(f"{client}-{n}", client, weight=weight)


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        pytest.param(0, 0, id="a worker without a token"),
        pytest.param(3, 3, id="fewer tokens than jobs"),
        pytest.param(9, 5, id="more tokens than jobs"),
    ],
)
def test_a_worker_gets_no_more_than_it_asks_for(scripts: Scripts, asked: int, given: int) -> None:
    _flood(scripts, "ann", 3)
    _flood(scripts, "bob", 2)

    taken = scripts.dispatch(asked)

    assert len(taken) == given
    assert scripts.waiting() == 5 - given
    assert scripts.redis.scard("p2g:owned:w1") == given


def test_the_jobs_of_one_client_keep_their_order(scripts: Scripts) -> None:
    _flood(scripts, "ann", 20)

    taken = [given.id for _ in range(4) for given in scripts.dispatch(5)]

    assert taken == [f"ann-{n}" for n in range(20)]


def test_a_job_comes_with_all_that_its_run_needs(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.now += 1500

    taken = scripts.dispatch()

    assert taken == [Given("j1", epoch=1, attempt=1, waited=1500, tried="", failures=0)]
    assert scripts.tally() == {"running": 1, "open": 1}


def test_shares_follow_the_weights(scripts: Scripts) -> None:
    weights = {"one": 1.0, "two": 2.0, "four": 4.0}
    for client, weight in weights.items():
        _flood(scripts, client, 400, weight)

    taken = Counter(_client(given) for _ in range(100) for given in scripts.dispatch(7))

    assert taken == pytest.approx({"one": 100, "two": 200, "four": 400}, rel=0.05)


def test_no_client_strays_from_its_share_by_more_than_a_turn(scripts: Scripts) -> None:
    weights = {"one": 1.0, "two": 2.0, "four": 4.0}
    for client, weight in weights.items():
        _flood(scripts, client, 100, weight)

    order = [_client(scripts.dispatch()[0]) for _ in range(140)]

    for end in range(1, len(order) + 1):
        served = Counter(order[:end])
        turns = [served[client] / weight for client, weight in weights.items()]
        assert max(turns) - min(turns) <= 1.0


@pytest.mark.parametrize("head_start", [0, 1, 50])
def test_a_flood_delays_a_quiet_client_by_one_turn(scripts: Scripts, head_start: int) -> None:
    _flood(scripts, "flood", 50 + head_start)
    scripts.dispatch(head_start)
    scripts.enqueue("quiet-0", "quiet")

    order = [_client(given) for given in scripts.dispatch(2)]

    assert "quiet" in order


def test_a_steady_quiet_client_never_waits_behind_a_flood(scripts: Scripts) -> None:
    _flood(scripts, "flood", 100)

    waits = []
    for n in range(20):
        scripts.enqueue(f"quiet-{n}", "quiet")
        order = [_client(scripts.dispatch()[0]) for _ in range(2)]
        waits.append(order.index("quiet"))

    assert max(waits) <= 1


def test_an_idle_clients_share_is_lent_and_not_banked(scripts: Scripts) -> None:
    _flood(scripts, "busy", 200)
    _flood(scripts, "idle", 1)
    scripts.dispatch(102)
    _flood(scripts, "idle", 50)

    order = [_client(scripts.dispatch()[0]) for _ in range(40)]

    assert Counter(order) == {"busy": 20, "idle": 20}


def test_leaving_and_coming_back_gains_no_turn(scripts: Scripts) -> None:
    _flood(scripts, "steady", 100)

    order = []
    for n in range(60):
        scripts.enqueue(f"fickle-{n}", "fickle")
        order += [_client(given) for given in scripts.dispatch(1)]

    assert order.count("fickle") <= order.count("steady") + 1


def test_a_job_whose_time_is_up_ends_and_takes_no_token(scripts: Scripts) -> None:
    scripts.enqueue("late", wait=1000)
    scripts.enqueue("fine", wait=5000)
    scripts.now += 1000

    taken = scripts.dispatch(1)

    assert [given.id for given in taken] == ["fine"]
    assert [end.message for end in scripts.ends("late") if isinstance(end, Failed)] == ["too late"]
    assert scripts.tally() == {"running": 1, "open": 1}


def test_a_cancelled_job_is_never_given_out(scripts: Scripts) -> None:
    _flood(scripts, "ann", 3)
    scripts.cancel("ann-1")

    taken = scripts.dispatch(5)

    assert [given.id for given in taken] == ["ann-0", "ann-2"]


def test_a_job_that_redis_has_forgotten_leaves_no_trace(scripts: Scripts) -> None:
    scripts.enqueue("gone")
    scripts.enqueue("here")
    scripts.redis.delete("p2g:job:{gone}")

    taken = scripts.dispatch(5)

    assert [given.id for given in taken] == ["here"]
    assert scripts.pending() == 1
    assert scripts.tally() == {"running": 1, "open": 1}


def test_a_job_that_was_handed_back_goes_first(scripts: Scripts) -> None:
    _flood(scripts, "ann", 3)
    given = scripts.dispatch()[0]
    scripts.requeue(given, tried="t1,t2", failures=1)

    taken = scripts.dispatch(2)

    assert [again.id for again in taken] == ["ann-0", "ann-1"]
    assert (taken[0].epoch, taken[0].attempt) == (3, 2)
    assert (taken[0].tried, taken[0].failures) == ("t1,t2", 1)


def test_a_job_that_was_left_to_others_is_theirs_for_two_seconds(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.requeue(scripts.dispatch()[0], leave=True)

    at_once = scripts.dispatch(1, "w1")
    scripts.now += 1999
    just_before = scripts.dispatch(1, "w1")
    by_another = scripts.dispatch(1, "w2")

    assert (at_once, just_before) == ([], [])
    assert [given.id for given in by_another] == ["j1"]


def test_a_job_that_several_have_left_is_for_the_one_that_has_not(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    for worker in ("w1", "w2"):
        scripts.requeue(scripts.dispatch(1, worker)[0], worker=worker, leave=True)

    taken = [scripts.dispatch(1, worker) for worker in ("w1", "w2", "w3")]

    assert [[given.id for given in each] for each in taken] == [[], [], ["j1"]]


def test_a_job_that_nobody_else_took_comes_back_after_two_seconds(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.requeue(scripts.dispatch()[0], leave=True)
    scripts.now += 2000

    taken = scripts.dispatch(1, "w1")

    assert [given.id for given in taken] == ["j1"]


def test_a_job_that_was_handed_back_with_a_pause_is_out_of_reach_meanwhile(
    scripts: Scripts,
) -> None:
    scripts.enqueue("j1")
    scripts.requeue(scripts.dispatch()[0], delay=500)

    during = scripts.dispatch(1, "w2")
    scripts.now += 500
    after = scripts.dispatch(1, "w2")

    assert during == []
    assert [given.id for given in after] == ["j1"]


def test_a_job_that_was_handed_back_and_then_waited_too_long_fails(scripts: Scripts) -> None:
    scripts.enqueue("j1", wait=1000)
    scripts.requeue(scripts.dispatch()[0])
    scripts.now += 1000

    taken = scripts.dispatch(1)

    assert taken == []
    assert len(scripts.ends("j1")) == 1
    assert scripts.tally() == {}


def test_nothing_is_left_of_jobs_that_have_ended_but_what_is_meant_to_last(
    scripts: Scripts,
) -> None:
    for client in ("ann", "bob"):
        for n in range(6):
            scripts.enqueue(f"{client}-{n}", client, wait=1000 if n == 5 else 60_000, per_minute=99)
    scripts.heartbeat("w1")
    scripts.cancel("ann-4")
    scripts.cancel("bob-4")
    first = scripts.dispatch(8)
    scripts.append(*[started(given) for given in first])
    scripts.append(*[text(given, seq=2) for given in first[:4]])
    scripts.requeue(first[7])
    scripts.now += 1000
    again = scripts.dispatch(1)
    scripts.append(*[finished(given, 3) for given in first[:3]], finished(again[0]))
    scripts.cancel(first[4].id)
    scripts.now += 10_000
    scripts.reclaim()
    rest = scripts.dispatch(9, "w2")
    scripts.append(*[finished(given) for given in rest])

    scripts.dispatch(1)

    assert [scripts.tally("ann"), scripts.tally("bob"), scripts.waiting()] == [{}, {}, 0]
    assert scripts.lasting_keys() == {
        *("p2g:totals", "p2g:client:ann", "p2g:client:bob", "p2g:jobs:ann", "p2g:jobs:bob"),
        "p2g:ledger",
    }
    assert scripts.redis.xlen("p2g:jobs:ann") == scripts.redis.xlen("p2g:jobs:bob") == 0


MIB = 1024 * 1024


def test_a_reply_ends_with_the_request_that_fills_it(scripts: Scripts) -> None:
    # Given requests of which two are more than a reply should hold
    for n in range(5):
        scripts.enqueue(
            f"j{n}", payload="x" * 9 * MIB, most_bytes=99 * MIB, most_bytes_in_all=99 * MIB
        )

    # When workers ask for all of them
    taken = [[given.id for given in scripts.dispatch(9)] for _ in range(2)]
    rung = scripts.redis.exists("p2g:bell")
    taken.append([given.id for given in scripts.dispatch(9)])

    # Then each gets two, and whoever asks next is told that there is more
    assert taken == [["j0", "j1"], ["j2", "j3"], ["j4"]]
    assert rung


def test_a_large_request_is_dispatched_at_once_and_so_is_the_next(scripts: Scripts) -> None:
    for n in range(2):
        scripts.enqueue(
            f"j{n}", payload="x" * 30 * MIB, most_bytes=99 * MIB, most_bytes_in_all=99 * MIB
        )

    assert [[given.id for given in scripts.dispatch(9)] for _ in range(3)] == [["j0"], ["j1"], []]
