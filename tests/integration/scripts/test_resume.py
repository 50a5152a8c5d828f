"""claim, enqueue and cancel of jobs that clients may come back to."""

from __future__ import annotations

import pytest

from contract.messages import Failed, FailureKind, Record
from tests.support.keys import keys
from tests.support.scripts import (
    CLAIM_LIFE,
    IDEM,
    KEPT,
    LIFE,
    START,
    Given,
    Scripts,
    finished,
    text,
)


def begun(scripts: Scripts, *readers: str) -> Given:
    """A job with these readers ("<gateway> <reader>") that a worker has begun."""
    for reader in readers:
        gateway, name = reader.split()
        assert scripts.claim("j1") == "j1"
        scripts.enqueue("j1", gateway=gateway, reader=name)
    (given,) = scripts.dispatch()
    return given


def test_the_first_to_ask_names_the_job_for_all(scripts: Scripts) -> None:
    assert scripts.claim("j1") == "j1"
    assert scripts.claim("j2") == "j1"
    assert scripts.claim("j3", body="another") is None


def test_equal_requests_are_one_job(scripts: Scripts) -> None:
    scripts.claim("j1")
    for number in range(100):
        scripts.enqueue("j1", gateway=f"g{number % 3}", reader=f"r{number}")

    assert [given.id for given in scripts.dispatch(5)] == ["j1"]
    assert scripts.tally() == {"running": 1, "open": 1}


def test_every_gateway_that_reads_hears_each_record_once(scripts: Scripts) -> None:
    given = begun(scripts, "g1 a", "g1 b", "g2 c")

    with scripts.heard(keys.events("g1")) as first, scripts.heard(keys.events("g2")) as second:
        scripts.append(text(given))

    assert len(first) == 1
    assert first == second


def test_a_job_goes_on_while_anyone_reads_it(scripts: Scripts) -> None:
    given = begun(scripts, "g1 a", "g1 b", "g2 c")

    told = [scripts.leave("j1", "a"), scripts.leave("j1", "c", gateway="g2", at_once=True)]

    assert told == ["kept", "kept"]
    scripts.now += 100_000
    scripts.reclaim()
    assert scripts.append(text(given)) == [0]
    assert scripts.redis.smembers(keys.served("g2")) == set()
    assert scripts.redis.smembers(keys.served("g1")) == {b"j1"}


def test_a_job_that_nobody_reads_goes_on_for_its_grace_and_no_longer(scripts: Scripts) -> None:
    given = begun(scripts, "g1 a")
    scripts.leave("j1", "a")

    scripts.now += 59_999
    scripts.reclaim()
    assert scripts.append(text(given)) == [0]
    scripts.now += 1
    scripts.reclaim()

    assert scripts.append(text(given, seq=2)) == [1]
    assert scripts.claim("j2") == "j2"


def test_who_comes_back_in_time_finds_the_job_running(scripts: Scripts) -> None:
    given = begun(scripts, "g1 a")
    scripts.leave("j1", "a")
    scripts.now += 30_000

    assert scripts.claim("j2") == "j1"
    scripts.enqueue("j1", gateway="g2", reader="b")
    scripts.now += 60_000
    scripts.reclaim()

    with scripts.heard(keys.events("g2")) as heard:
        assert scripts.append(text(given)) == [0]
    assert len(heard) == 1


def test_a_queued_job_that_nobody_comes_back_for_costs_nothing(scripts: Scripts) -> None:
    scripts.claim("j1")
    scripts.enqueue("j1", reader="a")
    scripts.leave("j1", "a")

    scripts.now += 60_000
    scripts.reclaim()

    assert scripts.dispatch() == []
    assert scripts.tally() == {}
    assert scripts.claim("j2") == "j2"


def test_a_job_that_ends_now_waits_for_nobody_to_come_back(scripts: Scripts) -> None:
    scripts.claim("j1")
    scripts.enqueue("j1", reader="a")

    assert scripts.leave("j1", "a", at_once=True) == "dropped"
    assert scripts.claim("j2") == "j2"


def test_a_dead_gateway_leaves_its_jobs_their_grace(scripts: Scripts) -> None:
    given = begun(scripts, "g1 a", "g1 b")
    scripts.redis.zadd(keys.gateways, {"g1": START})

    scripts.reclaim()
    assert scripts.append(text(given)) == [0]
    scripts.now += 60_000
    scripts.reclaim()

    assert scripts.append(text(given, seq=2)) == [1]
    assert scripts.redis.exists(keys.served("g1")) == 0


def test_a_dead_gateway_takes_no_reader_of_another_with_it(scripts: Scripts) -> None:
    given = begun(scripts, "g1 a", "g2 b")
    scripts.redis.zadd(keys.gateways, {"g1": START})

    scripts.reclaim()
    scripts.now += 60_000
    scripts.reclaim()

    assert scripts.append(text(given)) == [0]


def test_an_answer_is_kept_for_those_who_come_later(scripts: Scripts) -> None:
    given = begun(scripts, "g1 a")
    scripts.append(finished(given))
    scripts.leave("j1", "a")

    assert scripts.claim("j2") == "j1"
    scripts.enqueue("j1", reader="b")
    assert scripts.dispatch() == []
    assert scripts.leave("j1", "b") == "gone"
    for key in (keys.job("j1"), keys.log("j1"), keys.idem(IDEM)):
        assert LIFE < scripts.redis.pttl(key) <= KEPT
    assert scripts.lasting_keys() <= {
        *(keys.client("ann"), keys.totals, keys.jobs("ann"), keys.bell, keys.ledger),
    }


@pytest.mark.parametrize("charged", [True, False])
def test_only_a_failure_that_cost_nothing_is_tried_again(scripts: Scripts, charged: bool) -> None:
    given = begun(scripts, "g1 a")
    failed = Failed(FailureKind.UPSTREAM_FAILED, "no", charged=charged)

    scripts.append(Record("j1", given.epoch, 1, (failed,)))

    assert scripts.claim("j2") == ("j1" if charged else "j2")


def test_a_gateway_that_gave_up_before_its_job_was_queued_leaves_nothing(scripts: Scripts) -> None:
    scripts.claim("j1")

    scripts.leave("j1", "a", at_once=True)
    scripts.enqueue("j1", reader="a")

    assert scripts.dispatch() == []
    assert scripts.claim("j2") == "j2"


def test_a_key_whose_job_is_never_queued_is_soon_forgotten(scripts: Scripts) -> None:
    scripts.claim("j1")
    assert 0 < scripts.redis.pttl(keys.idem(IDEM)) <= CLAIM_LIFE

    scripts.enqueue("j1", reader="a")
    assert scripts.redis.pttl(keys.idem(IDEM)) > CLAIM_LIFE


def test_a_refusal_forgets_the_key(scripts: Scripts) -> None:
    scripts.claim("j1")

    refusal = scripts.enqueue("j1", reader="a", most=0)

    assert refusal == ["full", 0]
    assert scripts.claim("j2") == "j2"


def test_a_reader_that_is_refused_nothing_does_not_forget_the_key(scripts: Scripts) -> None:
    begun(scripts, "g1 a")

    scripts.enqueue("j1", reader="b", most=0)

    assert scripts.claim("j2") == "j1"


def test_where_none_is_to_be_begun_a_key_names_nothing(scripts: Scripts) -> None:
    assert scripts.claim("") == ""

    assert scripts.claim("j1") == "j1"
    assert scripts.claim("") == "j1"


def test_nobody_joins_an_answer_whose_key_was_forgotten_meanwhile(scripts: Scripts) -> None:
    begun(scripts, "g1 a")
    assert scripts.claim("j2") == "j1"
    scripts.leave("j1", "a", at_once=True)

    assert scripts.enqueue("j1", gateway="g2", reader="b") == ["forgotten"]
    assert scripts.claim("j2") == "j2"
    assert scripts.enqueue("j2", gateway="g2", reader="b")[0] == "queued"


def test_who_leaves_a_forgotten_answer_leaves_the_new_one_alone(scripts: Scripts) -> None:
    begun(scripts, "g1 a")
    scripts.leave("j1", "a", at_once=True)
    scripts.claim("j2")
    scripts.enqueue("j2", gateway="g2", reader="b")

    scripts.leave("j1", "a", at_once=True)

    assert scripts.claim("j3") == "j2"


def test_who_has_left_before_it_joined_holds_up_nothing(scripts: Scripts) -> None:
    begun(scripts, "g1 a")
    scripts.leave("j1", "late", gateway="g2", at_once=True)
    scripts.enqueue("j1", gateway="g2", reader="late")

    assert scripts.redis.smembers(keys.readers("j1")) == {b"g1 a"}
    assert scripts.redis.smembers(keys.served("g2")) == set()
    assert scripts.leave("j1", "a", at_once=True) == "told"


def test_what_arrives_too_late_joins_nobody(scripts: Scripts) -> None:
    begun(scripts, "g1 a")

    assert scripts.enqueue("j1", gateway="g2", reader="b", not_after=START - 1) == ["late"]
    assert scripts.redis.smembers(keys.readers("j1")) == {b"g1 a"}


def test_what_arrives_too_late_is_not_queued(scripts: Scripts) -> None:
    assert scripts.enqueue("j1", not_after=START - 1) == ["late"]
    assert scripts.enqueue("j1", not_after=START)[0] == "queued"


def test_a_client_is_told_how_often_it_may_still_ask(scripts: Scripts) -> None:
    first = scripts.enqueue("j1", per_minute=3)
    scripts.now += 10_000
    second = scripts.enqueue("j2", per_minute=3)

    assert first[3:] == [2, 60_000]
    assert second[3:] == [1, 50_000]
    assert scripts.enqueue("j2", per_minute=3) == second
