"""reclaim.lua: what a dead worker leaves behind."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from contract.messages import Failed, FailureKind, Frame, Record
from tests.support.keys import keys
from tests.support.scripts import Given, Scripts, finished, started, text


def _failed(scripts: Scripts, job: str) -> list[str]:
    return [end.message for end in scripts.ends(job) if isinstance(end, Failed)]


def _taken_by_one_who_dies(scripts: Scripts, job: str = "j1", worker: str = "w1") -> Given:
    """The worker's last beat lapses exactly now."""
    if scripts.state(job) is None:
        scripts.enqueue(job, wait=600_000)
    scripts.heartbeat(worker, life=6000)
    (given,) = scripts.dispatch(1, worker)
    scripts.now += 6000
    return given


@pytest.mark.parametrize(
    "record", [None, pytest.param(started, id="Started only")], ids=["nothing", None]
)
def test_what_was_not_begun_runs_again(
    scripts: Scripts, record: Callable[[Given], Record] | None
) -> None:
    given = _taken_by_one_who_dies(scripts)
    if record:
        scripts.append(record(given))

    dead = scripts.reclaim()

    (again,) = scripts.dispatch(1, "w2")
    assert dead == ["w1"]
    assert (again.id, again.attempt) == ("j1", 2)
    assert again.epoch > given.epoch
    assert scripts.append(text(given, seq=2)) == [2]


def test_what_was_begun_ends_in_an_error(scripts: Scripts) -> None:
    given = _taken_by_one_who_dies(scripts)
    scripts.append(started(given), text(given, "half of", 2))

    scripts.reclaim()

    assert _failed(scripts, "j1") == ["interrupted"]
    assert scripts.dispatch(1, "w2") == []
    assert (scripts.tally(), scripts.pending()) == ({}, 0)


@pytest.mark.parametrize("name", ["j", "j" * 31, "j" * 32, "ü" * 100, "j" * 255])
def test_the_error_is_a_record_and_a_frame_like_any_other(scripts: Scripts, name: str) -> None:
    given = _taken_by_one_who_dies(scripts, name)
    scripts.append(text(given))

    with scripts.heard(keys.events("g1")) as frames:
        scripts.reclaim()

    failed = Failed(FailureKind.INTERRUPTED, "interrupted")
    expected = Record(name, given.epoch + 1, 1, (failed,))
    assert scripts.log(name)[-1] == expected
    assert [msgspec.msgpack.decode(frame, type=Frame) for frame in frames] == [[expected]]


def test_the_dead_worker_can_add_nothing(scripts: Scripts) -> None:
    given = _taken_by_one_who_dies(scripts)
    scripts.append(text(given))
    scripts.reclaim()

    verdicts = scripts.append(finished(given, 2))

    assert verdicts == [2]
    assert len(scripts.ends("j1")) == 1


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_job_that_kills_its_workers_is_given_up(scripts: Scripts, most: int) -> None:
    for n in range(most):
        scripts.now += 2000
        _taken_by_one_who_dies(scripts, worker=f"w{n}")
        given_up_before = _failed(scripts, "j1")
        scripts.reclaim(most)

    assert given_up_before == []
    assert _failed(scripts, "j1") == ["deadly"]
    assert scripts.redis.lrange(keys.dead, 0, -1) == [f"j1 {scripts.now}".encode()]
    assert scripts.dispatch(1, "w9") == []
    assert scripts.tally() == {}


def test_a_gateway_lets_a_job_die_as_often_as_a_worker_said_last(scripts: Scripts) -> None:
    scripts.reclaim(2)
    for n in range(2):
        scripts.now += 2000
        _taken_by_one_who_dies(scripts, worker=f"w{n}")
        given_up_before = _failed(scripts, "j1")
        scripts.reclaim(None)

    assert given_up_before == []
    assert _failed(scripts, "j1") == ["deadly"]


def test_a_job_of_one_who_died_is_left_to_others_first(scripts: Scripts) -> None:
    _taken_by_one_who_dies(scripts)
    scripts.reclaim()

    by_the_same = scripts.dispatch(1, "w1")
    by_another = scripts.dispatch(1, "w2")

    assert by_the_same == []
    assert [given.id for given in by_another] == ["j1"]


def test_a_job_whose_client_has_left_dies_with_its_worker(scripts: Scripts) -> None:
    given = _taken_by_one_who_dies(scripts)
    scripts.append(text(given))
    scripts.cancel("j1")

    scripts.reclaim()

    assert scripts.state("j1") == "done"
    assert scripts.ends("j1") == []
    assert scripts.tally() == {}


def test_a_long_answer_is_no_dead_worker(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    (given,) = scripts.dispatch()
    for _ in range(100):
        scripts.heartbeat("w1", life=6000)
        scripts.now += 5999
        assert scripts.reclaim() == []

    assert scripts.append(finished(given)) == [0]


def test_a_worker_that_drains_keeps_its_jobs_while_it_beats(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.heartbeat("w1")
    (given,) = scripts.dispatch()
    scripts.append(text(given))
    for _ in range(10):
        scripts.heartbeat("w1", life=6000, leaving=True)
        scripts.now += 5999
        assert scripts.reclaim() == []

    assert scripts.append(finished(given, 2)) == [0]


def test_a_worker_that_dies_while_it_drains_is_dead(scripts: Scripts) -> None:
    given = _taken_by_one_who_dies(scripts)
    scripts.append(text(given))
    scripts.heartbeat("w1", life=6000, leaving=True)
    scripts.now += 6000

    dead = scripts.reclaim()

    assert dead == ["w1"]
    assert _failed(scripts, "j1") == ["interrupted"]


@pytest.mark.parametrize(
    ("still_connected", "reply"),
    [
        pytest.param(False, "granted", id="killed"),
        pytest.param(True, "full", id="frozen"),
    ],
)
def test_a_call_of_the_dead_is_in_flight_only_while_its_process_exists(
    scripts: Scripts, still_connected: bool, reply: str
) -> None:
    scripts.heartbeat("w1", ["b"], life=6000)
    scripts.enqueue("j1")
    scripts.dispatch(1, "w1")
    scripts.acquire("g1", most=1, job="j1")
    scripts.now += 6000
    with scripts.redis.pubsub() as subscription:
        if still_connected:
            subscription.subscribe(keys.control("w1"))
            subscription.get_message(timeout=5)
        scripts.reclaim()
        (fence,) = scripts.heartbeat("w2", ["b"]).values()

        answer = scripts.acquire("g2", worker="w2", fence=fence, most=1)

    assert answer[0] == reply


def test_reclaiming_twice_finds_nothing_more(scripts: Scripts) -> None:
    given = _taken_by_one_who_dies(scripts)
    scripts.append(text(given))
    scripts.reclaim()

    dead = scripts.reclaim()

    assert dead == []
    assert len(scripts.ends("j1")) == 1


def test_what_the_dead_had_finished_is_left_alone(scripts: Scripts) -> None:
    given = _taken_by_one_who_dies(scripts)
    scripts.append(finished(given))

    scripts.reclaim()

    assert scripts.log("j1") == [finished(given)]


def test_a_job_that_was_handed_back_and_found_no_token_in_time_ends(scripts: Scripts) -> None:
    scripts.enqueue("j1", wait=1000)
    scripts.requeue(scripts.dispatch()[0])
    scripts.now += 999
    scripts.reclaim()
    before = _failed(scripts, "j1")
    scripts.now += 1

    scripts.reclaim()

    assert before == []
    assert _failed(scripts, "j1") == ["too late"]
    assert (scripts.tally(), scripts.redis.exists("p2g:again")) == ({}, 0)


def test_a_dead_gateway_takes_its_clients_with_it(scripts: Scripts) -> None:
    scripts.enqueue("running", gateway="dead")
    (given,) = scripts.dispatch()
    scripts.enqueue("queued", gateway="dead")
    scripts.enqueue("ours", gateway="alive")
    scripts.redis.zadd(keys.gateways, {"dead": scripts.now, "alive": scripts.now + 1})
    scripts.heartbeat("w1")

    with scripts.heard(keys.control("w1")) as told:
        scripts.reclaim()

    assert told == [b"running"]
    assert scripts.state("queued") == "done"
    assert scripts.append(text(given)) == [1]
    assert scripts.state("ours") == "queued"
    assert scripts.redis.zrange(keys.gateways, 0, -1) == [b"alive"]
    assert not scripts.redis.exists(keys.served("dead"))


def test_a_gateway_whose_heartbeat_goes_on_keeps_its_clients(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.redis.zadd(keys.gateways, {"g1": scripts.now + 1})

    scripts.reclaim()

    assert scripts.state("j1") == "queued"


def test_no_consumer_is_left_of_workers_that_are_gone(scripts: Scripts) -> None:
    _taken_by_one_who_dies(scripts)
    scripts.reclaim()
    scripts.heartbeat("w2")
    (again,) = scripts.dispatch(1, "w2")
    while_it_runs = _consumers(scripts)

    scripts.append(finished(again))

    assert while_it_runs == {b"w2"}
    assert _consumers(scripts) == set()


def _consumers(scripts: Scripts) -> set[bytes]:
    return {each["name"] for each in scripts.redis.xinfo_consumers("p2g:jobs:ann", "workers")}
