"""Points are reserved when a job is dispatched, settled when it ends, and never lost in between."""

from __future__ import annotations

import msgspec
import pytest

from contract.budgets import Budget
from contract.calls.budgets import Counter, ReadCounters
from contract.calls.gateway import Billing
from contract.calls.ledger import Correct, ReadLedger
from contract.calls.worker import Append
from contract.ledger import Correction, Cost, Request
from contract.messages import Failed, FailureKind
from tests.support.keys import keys
from tests.support.scripts import START, Given, Scripts, finished

DAY = 24 * 3600 * 1000
MONTH = "key:ann:month:2023-11"
MINE = Budget(MONTH, 100, START + DAY, "key", "ann", "month", "the month budget")
TEAM = Budget("group:lab:total", 150, 0, "group", "lab", "total", "the total budget")


def enqueue(
    scripts: Scripts, job: str, points: int = 40, *budgets: Budget, choices: int = 1
) -> list[object]:
    billing = Billing("Ann", "lab", "gpt-x", points, budgets or (MINE,))
    return scripts.enqueue(job, billing=billing, model="Bot", choices=choices)


def end(scripts: Scripts, *ends: tuple[Given, int]) -> None:
    costs = {given.id: Cost(calls=1, points=points) for given, points in ends}
    scripts.run(Append([finished(given) for given, _ in ends], costs=costs))


def count(scripts: Scripts, budget: Budget = MINE) -> tuple[int, int]:
    """Return what is spent and what is reserved."""
    (counter,) = scripts.run(ReadCounters([budget.counter]))
    return counter.spent, counter.reserved


def refused(scripts: Scripts, job: str) -> str:
    """Return what ended a job that was refused."""
    (record,) = scripts.log(job)
    (failed,) = record.events
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.NO_POINTS
    return failed.message


def test_a_dispatch_reserves_and_an_end_settles(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "j", 40, MINE, TEAM)
    assert count(scripts) == (0, 0)

    # when
    (given,) = scripts.dispatch()
    reserved = count(scripts), count(scripts, TEAM)
    end(scripts, (given, 7))

    # then
    assert reserved == ((0, 40), (0, 40))
    assert scripts.run(ReadCounters([MONTH, TEAM.counter, "none"])) == [
        *(Counter(7, 0, 100), Counter(7, 0, 150), Counter(0, 0, 0)),
    ]
    ((_, record),) = scripts.run(ReadLedger())
    assert isinstance(record, Request)
    assert record.budgets == (MONTH, TEAM.counter)


def test_what_never_fits_is_refused_at_once(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "a")
    (given,) = scripts.dispatch()
    end(scripts, (given, 65))

    # then
    assert enqueue(scripts, "b", 36) == ["short", 0, 35]
    assert enqueue(scripts, "c", 12, choices=3) == ["short", 0, 35]
    assert enqueue(scripts, "d", 30, TEAM, MINE)[0] == "queued"
    assert enqueue(scripts, "e", 36, TEAM, MINE) == ["short", 1, 35]


def test_an_accepted_request_is_told_what_is_left_of_the_tightest(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "a", 40, TEAM, MINE)
    scripts.dispatch()

    # then
    assert enqueue(scripts, "b", 30, TEAM, MINE)[-2:] == [1, 60]


def test_a_job_waits_for_what_others_have_reserved(scripts: Scripts) -> None:
    # given
    for job in ("a", "b", "c"):
        enqueue(scripts, job)
    enqueue(scripts, "other", 1, TEAM)

    # when
    taken = scripts.dispatch(9)

    # then
    assert [given.id for given in taken] == ["a", "b", "other"]
    assert scripts.state("c") == "again"
    assert count(scripts) == (0, 80)

    # when the first ends, and has cost less
    end(scripts, (taken[0], 5))
    (last,) = scripts.dispatch(9)

    # then
    assert last.id == "c"
    assert count(scripts) == (5, 80)


def test_who_waits_for_points_costs_its_client_no_turn(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "a", 100)
    (first,) = scripts.dispatch()
    started = scripts.redis.hget(keys.totals, "dispatched")
    turn = scripts.redis.hget(keys.client("ann"), "turn")
    enqueue(scripts, "b", 100)

    # when
    assert scripts.dispatch() == []

    # then
    assert scripts.redis.hget(keys.client("ann"), "turn") == turn
    assert scripts.redis.hget(keys.totals, "dispatched") == started
    end(scripts, (first, 0))
    assert [given.id for given in scripts.dispatch()] == ["b"]


def test_a_job_that_waits_is_refused_once_too_much_is_spent(scripts: Scripts) -> None:
    # given
    for job in ("a", "b", "c"):
        enqueue(scripts, job)
    a, b = scripts.dispatch(9)

    # when
    end(scripts, (a, 41), (b, 40))
    assert scripts.dispatch(9) == []

    # then
    assert refused(scripts, "c") == (
        "This request may cost 40 points, and 19 are left of the month budget."
    )
    assert count(scripts) == (81, 0)


def test_a_queued_job_is_refused_once_too_much_is_spent(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "a")
    (a,) = scripts.dispatch()
    enqueue(scripts, "b")

    # when
    end(scripts, (a, 90))
    assert scripts.dispatch() == []

    # then
    assert "10 are left" in refused(scripts, "b")
    assert alerts(scripts) == [(MONTH, 80, 90), (MONTH, 100, 90)]


def test_a_job_that_waits_for_points_ends_at_its_deadline(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "a", 100)
    scripts.dispatch()
    billing = Billing("Ann", "lab", "gpt-x", 40, (MINE,))
    scripts.enqueue("b", wait=5000, billing=billing)
    assert scripts.dispatch() == []

    # when
    scripts.now += 5001
    scripts.dispatch()

    # then
    assert scripts.state("b") == "done"
    assert not scripts.redis.exists(keys.short(MONTH))


@pytest.mark.parametrize("how", ["requeue", "death"])
def test_a_job_that_runs_again_reserves_once(scripts: Scripts, how: str) -> None:
    # given
    enqueue(scripts, "j")
    scripts.heartbeat()
    (given,) = scripts.dispatch()

    # when
    if how == "requeue":
        scripts.requeue(given)
    else:
        scripts.now += 7000
        scripts.reclaim()
    between = count(scripts)
    (again,) = scripts.dispatch(worker="w2")

    # then
    assert between == count(scripts) == (0, 40)
    end(scripts, (again, 3))
    assert count(scripts) == (3, 0)


def test_what_cost_nothing_is_refunded(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "j")
    (given,) = scripts.dispatch()

    # when
    scripts.run(Append([finished(given)], costs={"j": Cost()}))

    # then
    assert count(scripts) == (0, 0)


def test_a_job_that_may_have_cost_something_goes_on_beyond_its_budget(scripts: Scripts) -> None:
    # given a job that a worker without budgets had, and that ran
    enqueue(scripts, "j", 90)
    (given,) = scripts.dispatch()
    scripts.heartbeat(batches=["b"])
    scripts.acquire("grant", job="j")
    reserved = scripts.redis.hget(keys.job("j"), "reserved")
    scripts.redis.hdel(keys.job("j"), "reserved")
    scripts.redis.zrem(keys.reservations, reserved)
    scripts.requeue(given, tried="unheard")

    # when
    scripts.redis.hset(keys.budget(MONTH), "spent", 50)
    (again,) = scripts.dispatch()

    # then
    assert again.id == "j"


def test_a_counter_that_was_deleted_amid_its_jobs_reserves_nothing_less_than_nothing(
    scripts: Scripts,
) -> None:
    # given
    enqueue(scripts, "a")
    enqueue(scripts, "b")
    a, b = scripts.dispatch(2)

    # when
    scripts.redis.delete(keys.budget(MONTH))
    end(scripts, (a, 1), (b, 1))

    # then
    assert count(scripts) == (2, 0)


def test_what_is_reserved_for_a_job_that_redis_forgot_is_given_back(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "a")
    enqueue(scripts, "b")
    scripts.dispatch(2)
    scripts.redis.delete(keys.job("a"))

    # when
    scripts.now += 61_000
    scripts.heartbeat_of_gateway()

    # then
    assert count(scripts) == (0, 40)
    assert scripts.redis.zcard(keys.reservations) == 1


def test_a_counter_outlives_its_period_by_a_week_and_a_total_for_ever(scripts: Scripts) -> None:
    enqueue(scripts, "j", 40, MINE, TEAM)
    scripts.dispatch()
    life = scripts.redis.pttl(keys.budget(MONTH))
    assert 8 * DAY - 20_000 < life <= 8 * DAY
    assert scripts.redis.pttl(keys.budget(TEAM.counter)) == -1


def correction(points: int, query: str = "q1") -> Correct:
    return Correct(Correction(job="j", points=points, query=query, at=START), (MONTH,))


def test_a_correction_counts_once(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "j")
    (given,) = scripts.dispatch()
    end(scripts, (given, 30))

    # when
    new = [scripts.run(correction(-10)), scripts.run(correction(-10))]

    # then
    assert new == [True, False]
    assert count(scripts) == (20, 0)
    assert [type(record) for _, record in scripts.run(ReadLedger())] == [Request, Correction]


def test_no_correction_makes_a_budget_larger_than_it_is(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "j")
    (given,) = scripts.dispatch()
    end(scripts, (given, 30))

    # when
    scripts.run(correction(-31))
    scripts.run(Correct(Correction(job="", points=5, query="q2"), ("gone",)))

    # then
    assert count(scripts) == (0, 0)
    assert not scripts.redis.exists(keys.budget("gone"))


def alerts(scripts: Scripts) -> list[tuple[str, int, int]]:
    """Return the counter, the percentage and what was spent, of each."""
    told = [msgspec.msgpack.decode(each) for each in scripts.redis.zrange(keys.alerts, 0, -1)]
    return [(alert[0], alert[4], alert[5]) for alert in told]


def test_a_refusal_says_that_a_budget_is_spent_as_good_as_whole(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "j")
    (given,) = scripts.dispatch()
    end(scripts, (given, 79))
    enqueue(scripts, "k", 50)
    assert alerts(scripts) == []
    enqueue(scripts, "k", 10)
    (given,) = scripts.dispatch()
    end(scripts, (given, 6))

    # when
    for _ in range(2):
        assert enqueue(scripts, "l", 16)[0] == "short"

    # then
    assert sorted(alerts(scripts)) == [(MONTH, 80, 85), (MONTH, 100, 85)]


def test_choices_of_a_request_start_together_or_not_at_all(scripts: Scripts) -> None:
    # given two clients of a team, whose turns alternate
    for client in ("ann", "bob"):
        billing = Billing(client, "lab", "gpt-x", 50, (TEAM,))
        scripts.enqueue(client, client, billing=billing, model="Bot", choices=3)
    scripts.heartbeat(batches=["b"])
    first = scripts.dispatch()
    scripts.acquire("grant", job=first[0].id)

    # when
    others = scripts.dispatch(9)

    # then
    assert sorted(given.id for given in first + others) == ["ann", "ann-1", "ann-2"]
    assert count(scripts, TEAM) == (0, 150)

    # when they cost less
    end(scripts, *((given, 0) for given in first + others))

    # then
    assert sorted(given.id for given in scripts.dispatch(9)) == ["bob", "bob-1", "bob-2"]


def test_what_costs_nothing_needs_no_budget(scripts: Scripts) -> None:
    # given more is spent than there was
    enqueue(scripts, "a", 100)
    (given,) = scripts.dispatch()
    end(scripts, (given, 101))

    # when
    enqueue(scripts, "free", 0)

    # then
    assert [given.id for given in scripts.dispatch()] == ["free"]


@pytest.mark.parametrize(("limit", "ends"), [(200, "running"), (50, "done")])
def test_jobs_that_wait_go_by_the_newest_limit(scripts: Scripts, limit: int, ends: str) -> None:
    # given
    enqueue(scripts, "a", 60)
    (a,) = scripts.dispatch()
    enqueue(scripts, "b", 60)

    # when
    enqueue(scripts, "c", 1, msgspec.structs.replace(MINE, limit=limit))
    scripts.dispatch(9)

    # then
    assert scripts.state("b") == ends
    end(scripts, (a, 60))
    (counter,) = scripts.run(ReadCounters([MONTH]))
    assert counter.limit == limit


def test_a_limit_that_was_changed_is_told_once(scripts: Scripts) -> None:
    # given
    more = msgspec.structs.replace(MINE, limit=200)
    for job, budget in (("a", MINE), ("b", more), ("c", more)):
        enqueue(scripts, job, 10, budget)
    jobs = scripts.dispatch(3)

    # when those that were asked before and after end in turn
    end(scripts, (jobs[1], 165))
    end(scripts, (jobs[0], 1))
    end(scripts, (jobs[2], 1))

    # then
    assert alerts(scripts) == [(MONTH, 80, 165)]


def test_a_large_request_is_not_overtaken_for_ever(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "small", 20)
    enqueue(scripts, "large", 90)
    enqueue(scripts, "quick", 20)
    running = scripts.dispatch(9)

    # when
    scripts.now += 5000
    enqueue(scripts, "late", 20)
    assert scripts.dispatch(9) == []
    end(scripts, *((given, 0) for given in running))
    taken = scripts.dispatch(9)

    # then
    assert [given.id for given in running] == ["small", "quick"]
    assert [given.id for given in taken] == ["large"]
    end(scripts, (taken[0], 0))
    scripts.now += 4000
    assert [given.id for given in scripts.dispatch(9)] == ["late"]


def test_a_large_request_does_not_hold_up_others_for_long(scripts: Scripts) -> None:
    # given one that waits for the end of a long answer
    enqueue(scripts, "long", 60)
    scripts.dispatch()
    enqueue(scripts, "large", 60)
    assert scripts.dispatch() == []
    scripts.now += 5000
    enqueue(scripts, "small", 20)
    assert scripts.dispatch(9) == []

    # when
    scripts.now += 15_000

    # then
    assert [given.id for given in scripts.dispatch(9)] == ["small"]


def test_a_dispatch_refuses_a_bounded_number_of_jobs(scripts: Scripts) -> None:
    # given
    for number in range(150):
        enqueue(scripts, f"j{number}", 60)
    (given,) = scripts.dispatch()
    end(scripts, (given, 60))

    # when
    assert scripts.dispatch() == []

    # then the rest is for the next one, which is rung for
    assert scripts.waiting() == 49
    assert scripts.redis.llen(keys.bell) > 0
    scripts.dispatch()
    assert scripts.waiting() == 0


def call_again(scripts: Scripts, given: Given, grant: str) -> list[object]:
    """Ask for the call that follows one of which nothing was heard."""
    if grant.endswith("2"):
        scripts.note_call(given, "failed", tried="unheard")
    return scripts.acquire(grant, job=given.id)


def test_a_second_call_that_may_be_paid_reserves_points_of_its_own(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "a")
    (a,) = scripts.dispatch()
    scripts.heartbeat(batches=["b"])
    call_again(scripts, a, "a1")

    # when
    granted = call_again(scripts, a, "a2")

    # then
    assert granted[0] == "granted"
    assert count(scripts) == (0, 80)
    enqueue(scripts, "b")
    assert scripts.dispatch() == []
    end(scripts, (a, 15))
    assert count(scripts) == (15, 0)


def test_a_second_call_waits_for_points_and_not_for_ever(scripts: Scripts) -> None:
    # given two that have spent what they had reserved, and more
    for job in ("a", "b"):
        enqueue(scripts, job)
    a, b = scripts.dispatch(2)
    scripts.heartbeat(batches=["b"], life=60_000)
    for given in (a, b):
        call_again(scripts, given, f"{given.id}1")

    # when each needs what the other has
    first = call_again(scripts, a, "a2"), call_again(scripts, b, "b2")
    scripts.now += 15_000
    last = call_again(scripts, a, "a2")

    # then
    assert first == (["short"], ["short"])
    assert last == ["short", 40, 20, b"the month budget"]
    end(scripts, (a, 10))
    assert call_again(scripts, b, "b2")[0] == "granted"
    assert count(scripts) == (10, 80)


def test_a_second_call_that_no_budget_has_room_for_is_refused_at_once(scripts: Scripts) -> None:
    enqueue(scripts, "a", 60)
    (a,) = scripts.dispatch()
    scripts.heartbeat(batches=["b"])
    call_again(scripts, a, "a1")
    assert call_again(scripts, a, "a2") == ["short", 60, 40, b"the month budget"]


def test_whoever_dies_amid_a_correction_leaves_two_calls(scripts: Scripts) -> None:
    # given
    enqueue(scripts, "a")
    (a,) = scripts.dispatch()
    scripts.heartbeat(batches=["b"])
    scripts.acquire("a1", job="a")
    scripts.note_call(a, "answered")
    scripts.acquire("a2", job="a")

    # when
    scripts.now += 7000
    scripts.reclaim()

    # then
    ((_, record),) = scripts.run(ReadLedger())
    assert isinstance(record, Request)
    assert (record.calls, record.settled) == (2, 80)
    assert count(scripts) == (80, 0)
