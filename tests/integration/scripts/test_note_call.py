"""note_call.lua, and what reclaim and the requeue of an orphan make of it."""

from __future__ import annotations

import pytest

from contract.messages import Failed, FailureKind, Record
from tests.support.keys import keys
from tests.support.scripts import Given, Scripts, finished, text


def _given(scripts: Scripts, *, keyed: bool = False) -> Given:
    if keyed:
        scripts.claim("j1")
    scripts.enqueue("j1", wait=600_000, reader="r1" if keyed else "")
    scripts.heartbeat("w1", life=6000)
    (given,) = scripts.dispatch(1, "w1")
    return given


def _field(scripts: Scripts, name: str) -> str:
    return (scripts.redis.hget(keys.job("j1"), name) or b"").decode()


def _ends(scripts: Scripts) -> list[str]:
    return [end.message for end in scripts.ends("j1") if isinstance(end, Failed)]


@pytest.mark.parametrize("keyed", [False, True])
def test_dispatch_tells_whether_a_job_has_an_idempotency_key(scripts: Scripts, keyed: bool) -> None:
    assert _given(scripts, keyed=keyed).keyed is keyed


def test_a_call_is_noted_step_by_step(scripts: Scripts) -> None:
    given = _given(scripts)
    seen = []

    for step in ("sent", "answered", "failed"):
        assert scripts.note_call(given, step, tried="t1,retried", failures=2) == 1
        seen.append(_field(scripts, "call"))

    assert seen == ["sent", "answered", ""]
    assert (_field(scripts, "tried"), _field(scripts, "failures")) == ("t1,retried", "2")


def test_only_what_was_sent_can_be_answered(scripts: Scripts) -> None:
    given = _given(scripts)

    scripts.note_call(given, "answered")

    assert _field(scripts, "call") == ""


def test_a_second_call_for_what_was_answered_does_not_hide_that(scripts: Scripts) -> None:
    given = _given(scripts)

    for step in ("sent", "answered", "sent"):
        scripts.note_call(given, step)

    assert _field(scripts, "call") == "answered"


def test_nothing_is_sent_for_a_client_that_has_left(scripts: Scripts) -> None:
    given = _given(scripts)
    scripts.cancel("j1")

    assert scripts.note_call(given, "sent") == 0


def test_nothing_is_sent_by_a_worker_that_the_job_was_taken_from(scripts: Scripts) -> None:
    given = _given(scripts)
    scripts.requeue(given)

    assert scripts.note_call(given, "sent") == 0
    assert _field(scripts, "call") == ""


def test_nothing_is_sent_for_a_job_that_redis_has_lost(scripts: Scripts) -> None:
    given = _given(scripts)
    scripts.redis.flushall()

    assert scripts.note_call(given, "sent") == 0
    assert not scripts.redis.exists(keys.job("j1"))


STEPS = [
    pytest.param([], False, True, id="not sent"),
    pytest.param([], True, True, id="not sent, keyed"),
    pytest.param(["sent"], False, True, id="sent"),
    pytest.param(["sent"], True, False, id="sent, keyed"),
    pytest.param(["sent", "answered"], False, False, id="answered"),
    pytest.param(["sent", "answered"], True, False, id="answered, keyed"),
    pytest.param(["sent", "failed"], True, True, id="refused, keyed"),
    pytest.param(["sent", "answered", "failed"], True, True, id="error event, keyed"),
]


@pytest.mark.parametrize(("steps", "keyed", "again"), STEPS)
def test_what_a_dead_worker_leaves_runs_again_as_the_table_has_it(
    scripts: Scripts, steps: list[str], keyed: bool, again: bool
) -> None:
    given = _given(scripts, keyed=keyed)
    for step in steps:
        scripts.note_call(given, step)
    scripts.now += 6000

    scripts.reclaim()

    taken = scripts.dispatch(1, "w2")
    assert [each.id for each in taken] == (["j1"] if again else [])
    assert _ends(scripts) == ([] if again else ["interrupted"])
    assert [each.tried for each in taken if steps == ["sent"]] == (
        ["unheard"] if steps == ["sent"] and again else []
    )


@pytest.mark.parametrize(("steps", "keyed", "again"), STEPS)
def test_a_job_that_its_worker_does_not_know_runs_again_as_the_table_has_it(
    scripts: Scripts, steps: list[str], keyed: bool, again: bool
) -> None:
    given = _given(scripts, keyed=keyed)
    for step in steps:
        scripts.note_call(given, step, tried="t1", failures=1)

    scripts.requeue(given, tried="-")

    taken = scripts.dispatch(1, "w2")
    assert [each.id for each in taken] == (["j1"] if again else [])
    assert _ends(scripts) == ([] if again else ["interrupted"])
    if again and steps and steps[-1] == "":
        assert (taken[0].tried, taken[0].failures) == ("t1", 1)


def test_a_call_without_a_status_is_repeated_once_whoever_dies(scripts: Scripts) -> None:
    given = _given(scripts)
    scripts.note_call(given, "sent")
    scripts.note_call(given, "failed", tried="t1", failures=1)
    scripts.note_call(given, "sent")
    scripts.now += 6000
    scripts.reclaim()
    scripts.heartbeat("w2", life=6000)
    (second,) = scripts.dispatch(1, "w2")
    scripts.note_call(second, "sent")
    scripts.now += 6000

    scripts.reclaim(most_deaths=9)

    assert second.tried == "t1,unheard"
    assert scripts.dispatch(1, "w3") == []
    assert _ends(scripts) == ["interrupted"]


def test_a_requeue_settles_the_call(scripts: Scripts) -> None:
    given = _given(scripts, keyed=True)
    scripts.note_call(given, "sent")
    scripts.requeue(given)
    scripts.heartbeat("w1", life=6000)
    (second,) = scripts.dispatch(1, "w1")
    scripts.now += 6000

    scripts.reclaim()

    assert scripts.append(text(second)) == [2]
    assert [each.id for each in scripts.dispatch(1, "w2")] == ["j1"]


def _two_choices(scripts: Scripts) -> list[Given]:
    scripts.claim("j1")
    scripts.enqueue("j1", reader="r1")
    scripts.enqueue("j1-1", reader="r1")
    return scripts.dispatch(2)


def test_a_choice_that_costs_nothing_keeps_the_key_of_one_that_was_paid_for(
    scripts: Scripts,
) -> None:
    first, second = _two_choices(scripts)
    scripts.note_call(first, "sent")
    scripts.append(finished(first))

    scripts.append(refused(second))

    assert scripts.claim("another") == "j1"


def test_choices_that_cost_nothing_free_their_key(scripts: Scripts) -> None:
    for given in _two_choices(scripts):
        scripts.note_call(given, "sent")
        scripts.append(refused(given))

    assert scripts.claim("another") == "another"


def test_a_choice_that_is_cancelled_keeps_the_key_of_one_that_was_paid_for(
    scripts: Scripts,
) -> None:
    first, second = _two_choices(scripts)
    scripts.note_call(first, "sent")
    scripts.append(finished(first))
    scripts.note_call(second, "sent")

    scripts.leave("j1-1", at_once=True)
    scripts.append(refused(second))

    assert scripts.claim("another") == "j1"


def refused(given: Given) -> Record:
    """The last record of a failure that has cost nothing."""
    failed = Failed(FailureKind.RATE_LIMITED, "no", charged=False)
    return Record(given.id, given.epoch, 1, (failed,))
