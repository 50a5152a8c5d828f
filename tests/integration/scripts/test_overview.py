"""What people see of the queue."""

from __future__ import annotations

import pytest

from contract.calls.overview import ReadOverview
from contract.calls.stored_keys import AddKey
from tests.support.keys import keys
from tests.support.scripts import START, Scripts, text


def test_nothing_is_seen_where_nothing_is(scripts: Scripts) -> None:
    overview = scripts.run(ReadOverview())

    assert overview.at == START / 1000
    assert (overview.waiting, overview.dispatched, overview.queued_clients) == (0, 0, 0)
    assert overview.clients == overview.workers == overview.gateways == overview.answers == ()


def test_clients_come_in_the_order_of_their_turns_with_what_they_have(scripts: Scripts) -> None:
    scripts.run(AddKey("ann", "digest", {"name": b'"Ann \\u4e2d"', "group": b'"team"'}))
    scripts.heartbeat("w1")
    scripts.heartbeat_of_gateway("g1")
    for job in ("a1", "a2", "a3"):
        scripts.enqueue(job, "ann", model="Echo")
    scripts.now += 5000
    scripts.enqueue("b1", "bob", weight=2)
    (given,) = scripts.dispatch()
    scripts.append(text(given))

    overview = scripts.run(ReadOverview())

    bob, ann = overview.clients
    assert (bob.client, bob.waiting, bob.running, bob.weight, bob.since) == (
        *("bob", 1, 0, 2.0),
        START / 1000 + 5,
    )
    assert (ann.client, ann.name, ann.group) == ("ann", "Ann 中", "team")
    assert (ann.waiting, ann.running, ann.gone, ann.since) == (2, 1, 1, START / 1000)
    assert ann.turn is not None
    assert bob.turn is not None
    assert bob.turn < ann.turn
    assert (overview.waiting, overview.queued_clients, overview.dispatched) == (3, 2, 1)
    (answer,) = overview.answers
    assert (answer.job, answer.worker, answer.client, answer.model) == ("a1", "w1", "ann", "Echo")
    assert (answer.asked, answer.attempt, answer.records) == (START / 1000, 1, 1)
    assert answer.has_begun
    (worker,), (gateway,) = overview.workers, overview.gateways
    assert (worker.id, worker.running, worker.left) == ("w1", 1, 1.0)
    assert worker.report is not None
    assert (gateway.id, gateway.relayed, gateway.left) == ("g1", 4, 10.0)


def test_who_waits_aside_and_who_only_has_answers_are_seen_too(scripts: Scripts) -> None:
    scripts.heartbeat("w1")
    scripts.enqueue("a1", "ann", model="Full")
    scripts.enqueue("b1", "bob", model="Echo")
    scripts.dispatch(Full=0)

    overview = scripts.run(ReadOverview())

    assert [(each.client, each.waiting, each.aside, each.running) for each in overview.clients] == [
        ("ann", 0, 1, 0),
        ("bob", 0, 0, 1),
    ]
    assert (overview.waiting, overview.aside) == (1, 1)
    assert overview.clients[1].turn is None


def test_no_more_is_looked_at_than_is_asked_for(scripts: Scripts) -> None:
    scripts.heartbeat("w1")
    scripts.heartbeat("w2")
    for number in range(60):
        scripts.enqueue(f"j{number}", f"c{number}")
    scripts.dispatch(40)

    overview = scripts.run(ReadOverview(clients=3, answers=6, alive=1))

    assert len(overview.clients) == 3
    assert len(overview.answers) == 6
    assert len(overview.workers) == 1
    assert overview.queued_clients == 20
    assert overview.running == 40


def test_what_it_costs_does_not_grow_with_the_queue(scripts: Scripts) -> None:
    def commands() -> int:
        stats = scripts.redis.info("commandstats")
        return sum(int(each["calls"]) for name, each in stats.items() if name != "cmdstat_pttl")

    def cost() -> int:
        scripts.redis.config_resetstat()
        overview = ReadOverview(clients=5, answers=5)
        scripts.redis.eval(_source(overview), 0, scripts.now, *overview.arguments())
        return commands()

    scripts.heartbeat("w1")
    for number in range(20):
        scripts.enqueue(f"j{number}", f"c{number}")
    scripts.dispatch(10)
    little = cost()
    for number in range(20, 400):
        scripts.enqueue(f"j{number}", f"c{number}")
    scripts.dispatch(200)

    assert cost() <= little + 1


def test_the_dead_are_not_among_the_living(scripts: Scripts) -> None:
    scripts.heartbeat("w1", life=6000)
    scripts.heartbeat_of_gateway("g1", life=15_000)

    scripts.now += 6001
    overview = scripts.run(ReadOverview())

    assert overview.workers == ()
    assert [gateway.id for gateway in overview.gateways] == ["g1"]


def test_a_worker_that_drains_is_alive_and_reports_nothing(scripts: Scripts) -> None:
    scripts.heartbeat("w1")
    scripts.enqueue("a1")
    scripts.dispatch()
    scripts.heartbeat("w1", leaving=True)

    (worker,) = scripts.run(ReadOverview()).workers

    assert (worker.report, worker.running) == (None, 1)


@pytest.mark.parametrize("name", ['"quoted"', "\\", "<script>", "中"])
def test_a_name_that_a_job_has_is_taken_as_it_is(scripts: Scripts, name: str) -> None:
    scripts.enqueue("a1", "ann")
    scripts.redis.hset(keys.job("a1"), mapping={"name": name, "group": name})

    (ann,) = scripts.run(ReadOverview()).clients

    assert (ann.name, ann.group) == (name, name)


def _source(call: ReadOverview) -> str:
    from contract.scripts import source

    return source(call.script, keys.prefix)
