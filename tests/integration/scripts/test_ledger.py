"""Each job that ends has one record in the ledger, whoever ends it."""

from __future__ import annotations

from typing import Any

import pytest

from contract.calls.gateway import Billing, GatewayHeartbeat
from contract.calls.ledger import ReadLedger
from contract.calls.worker import Append
from contract.ledger import Cost, Request
from contract.messages import Failed, FailureKind, Record
from tests.support.keys import keys
from tests.support.scripts import START, Given, Scripts, finished, text

BILLING = Billing("Ann", "lab", "gpt-x", 40)
COST = Cost(calls=1, points=7, prompt_tokens=10, completion_tokens=5, cached_tokens=2)


def ledger(scripts: Scripts) -> list[Request]:
    records = [record for _, record in scripts.run(ReadLedger())]
    assert all(isinstance(record, Request) for record in records)
    return records  # type: ignore[return-value]


def only(scripts: Scripts) -> Request:
    (record,) = ledger(scripts)
    return record


def given_a_job(scripts: Scripts, **more: Any) -> Given:
    scripts.heartbeat(batches=["b"])
    scripts.enqueue("j", billing=BILLING, model="Bot", **more)
    (given,) = scripts.dispatch()
    return given


def test_an_answer_is_written_down_with_what_its_worker_knows_of_its_cost(scripts: Scripts) -> None:
    # given
    scripts.heartbeat(batches=["b"])
    scripts.enqueue("j", billing=BILLING, model="Bot")
    scripts.now += 300
    (given,) = scripts.dispatch()
    scripts.now += 20
    scripts.acquire("grant", job="j", label="lab-1")
    scripts.now += 1000

    # when
    scripts.run(Append([text(given), finished(given, seq=2)], costs={"j": COST}))

    # then
    assert only(scripts) == Request(
        job="j",
        client="ann",
        name="Ann",
        group="lab",
        model="gpt-x",
        account="lab-1",
        outcome="finished",
        asked=START,
        wait=300,
        duration=1320,
        prompt_tokens=10,
        completion_tokens=5,
        cached_tokens=2,
        estimated=40,
        settled=7,
        basis="usage",
        calls=1,
        bot="Bot",
        sent=START + 320,
    )


def test_the_last_record_again_writes_nothing_more(scripts: Scripts) -> None:
    # given
    given = given_a_job(scripts)
    scripts.append(finished(given))

    # when
    scripts.append(finished(given))
    scripts.cancel("j")

    # then
    assert len(ledger(scripts)) == 1


def test_what_may_have_been_charged_counts_as_the_estimate(scripts: Scripts) -> None:
    # given
    given = given_a_job(scripts)

    # when
    cost = Cost(calls=3, unpriced=2, points=7)
    scripts.run(Append([finished(given)], costs={"j": cost}))

    # then
    record = only(scripts)
    assert (record.settled, record.basis, record.calls) == (2 * 40 + 7, "estimate", 3)


def test_a_failure_that_cost_nothing_is_free(scripts: Scripts) -> None:
    # given
    given = given_a_job(scripts)
    failed = Record("j", given.epoch, 1, (Failed(FailureKind.CONTEXT_TOO_LONG, "long"),))

    # when
    scripts.run(Append([failed], costs={"j": Cost()}))

    # then
    record = only(scripts)
    assert (record.outcome, record.settled, record.basis) == ("context_too_long", 0, "free")


@pytest.mark.parametrize("end", ["cancel", "withdraw"])
def test_what_never_ran_is_free(scripts: Scripts, end: str) -> None:
    # given
    scripts.enqueue("j", billing=BILLING)
    scripts.now += 500

    # when
    getattr(scripts, end)("j")

    # then
    record = only(scripts)
    assert (record.outcome, record.settled, record.calls) == ("cancelled", 0, 0)
    assert (record.estimated, record.wait, record.duration) == (40, 500, 500)


def test_what_waited_too_long_is_free(scripts: Scripts) -> None:
    # given
    scripts.enqueue("j", wait=100, billing=BILLING)
    scripts.now += 200

    # when
    scripts.dispatch()

    # then
    assert (only(scripts).outcome, only(scripts).basis) == ("interrupted", "free")


def test_a_call_that_died_with_its_worker_counts_as_the_estimate(scripts: Scripts) -> None:
    # given
    given = given_a_job(scripts)
    scripts.acquire("grant", job="j", label="lab-1")
    scripts.append(text(given))

    # when
    scripts.now += 7000
    scripts.reclaim()

    # then
    record = only(scripts)
    assert (record.settled, record.basis, record.account) == (40, "estimate", "lab-1")


def test_a_call_that_was_heard_of_no_more_is_counted_beside_the_next(scripts: Scripts) -> None:
    # given
    given_a_job(scripts)
    scripts.acquire("grant", job="j")
    scripts.now += 7000
    scripts.reclaim()
    assert ledger(scripts) == []

    # when
    scripts.heartbeat("w2", batches=["b"])
    (given,) = scripts.dispatch(worker="w2")
    scripts.acquire("grant2", job="j", worker="w2", fence=2, epoch=given.epoch)
    scripts.now += 7000
    scripts.reclaim()

    # then
    assert (only(scripts).calls, only(scripts).settled) == (2, 80)


def test_each_choice_has_a_record_of_its_own(scripts: Scripts) -> None:
    # given
    scripts.enqueue("j", choices=3, billing=BILLING)

    # when
    scripts.append(*[finished(given) for given in scripts.dispatch(3)])

    # then
    assert [record.job for record in ledger(scripts)] == ["j", "j-1", "j-2"]


def test_a_job_of_the_version_before_ends_well(scripts: Scripts) -> None:
    # given
    given = given_a_job(scripts)
    scripts.redis.hdel(keys.job("j"), "name", "group", "asked", "estimate", "dispatched")

    # when
    scripts.append(finished(given))

    # then
    record = only(scripts)
    assert (record.client, record.name, record.settled) == ("ann", "", 0)
    assert scripts.state("j") == "done"


def test_records_are_read_on_behind_one(scripts: Scripts) -> None:
    # given
    scripts.enqueue("j", choices=3)
    scripts.withdraw("j", 3)

    # when
    (first, _), *_ = scripts.run(ReadLedger(count=2))

    # then
    rest = scripts.run(ReadLedger(first))
    assert [record.job for _, record in rest] == ["j-1", "j-2"]


def test_records_go_when_they_are_old(scripts: Scripts) -> None:
    # given
    for number in range(200):
        scripts.redis.xadd(keys.ledger, {"r": "old"}, id=f"{1000 + number}-0")
    scripts.enqueue("j")
    scripts.cancel("j")

    # when
    scripts.run(GatewayHeartbeat("g1"))

    # then
    assert 1 <= scripts.redis.xlen(keys.ledger) < 110
