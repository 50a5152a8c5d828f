"""enqueue.lua: a job is accepted once, or refused for a reason."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.keys import keys
from tests.support.scripts import UNFINISHED_LIFE, Scripts, finished


def test_the_place_in_the_line_is_told(scripts: Scripts) -> None:
    first, second = scripts.enqueue("j1"), scripts.enqueue("j2")

    assert (first, second) == (["queued", 1, 1], ["queued", 2, 2])
    assert scripts.tally() == {"waiting": 2, "open": 2}
    assert scripts.waiting() == 2


def test_the_place_counts_only_those_who_still_wait(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.enqueue("j2")
    scripts.dispatch(2)

    ticket = scripts.enqueue("j3")

    assert ticket == ["queued", 3, 1]


def test_a_job_that_is_sent_twice_is_queued_once(scripts: Scripts) -> None:
    ticket = scripts.enqueue("j1")

    again = scripts.enqueue("j1")

    assert again == ticket
    assert scripts.tally() == {"waiting": 1, "open": 1}
    assert [given.id for given in scripts.dispatch(5)] == ["j1"]


def test_a_job_that_is_sent_again_after_its_end_is_not_run_again(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.append(finished(scripts.dispatch()[0]))

    scripts.enqueue("j1")

    assert scripts.dispatch(5) == []
    assert scripts.tally() == {}


@pytest.mark.parametrize(
    ("bounds", "refusal"),
    [
        pytest.param({"most": 2}, ["full", 2], id="most of one client"),
        pytest.param({"most_in_all": 3}, ["full", 3], id="most in all"),
        pytest.param({"unfinished": 2}, ["busy", 2], id="most unfinished of one client"),
    ],
)
def test_a_full_line_takes_nobody(
    scripts: Scripts, bounds: dict[str, Any], refusal: list[Any]
) -> None:
    scripts.enqueue("other", "bob")
    scripts.enqueue("j1")
    scripts.enqueue("j2")

    reply = scripts.enqueue("j3", **bounds)

    assert reply == refusal
    assert scripts.state("j3") is None
    assert scripts.tally() == {"waiting": 2, "open": 2}


@pytest.mark.parametrize(
    ("bounds", "refusal"),
    [
        pytest.param({"most": 4}, ["full", 2], id="most of one client"),
        pytest.param({"most_in_all": 5}, ["full", 3], id="most in all"),
        pytest.param({"unfinished": 4}, ["busy", 2], id="most unfinished of one client"),
        pytest.param({"per_minute": 4}, ["limited", 60_000], id="most in a minute"),
    ],
)
def test_all_choices_of_a_request_are_taken_or_none(
    scripts: Scripts, bounds: dict[str, Any], refusal: list[Any]
) -> None:
    scripts.enqueue("other", "bob")
    scripts.enqueue("j1", per_minute=9, choices=2)

    reply = scripts.enqueue("j2", choices=3, **bounds)

    assert reply == refusal
    assert scripts.tally() == {"waiting": 2, "open": 2}
    assert {given.id for given in scripts.dispatch(9)} == {"other", "j1", "j1-1"}


def test_the_place_of_a_request_is_that_of_its_last_choice(scripts: Scripts) -> None:
    scripts.enqueue("j1")

    ticket = scripts.enqueue("j2", choices=3, per_minute=5)

    assert ticket == ["queued", 4, 4, 2, 60_000]
    assert [given.id for given in scripts.dispatch(9)] == ["j1", "j2", "j2-1", "j2-2"]


def test_who_wants_several_waits_until_so_many_more_may_be_asked(scripts: Scripts) -> None:
    for n in range(3):
        scripts.enqueue(f"j{n}", per_minute=4)
        scripts.now += 1000

    early = scripts.enqueue("j9", per_minute=4, choices=3)
    scripts.now += early[1] - 1
    still_early = scripts.enqueue("j9", per_minute=4, choices=3)
    scripts.now += 1
    late = scripts.enqueue("j9", per_minute=4, choices=3)

    assert (early, still_early) == (["limited", 58_000], ["limited", 1])
    assert late[0] == "queued"


def test_the_request_is_stored_once_for_all_its_choices(scripts: Scripts) -> None:
    scripts.enqueue("j1", choices=8, payload="x" * 100_000)

    given = scripts.dispatch(9)

    assert [one.payload for one in given] == [b"x" * 100_000] * 8
    assert scripts.bytes() == (100_000, 100_000)
    stored = sum(scripts.redis.memory_usage(key, 0) for key in scripts.redis.scan_iter())
    assert stored < 150_000


def test_a_request_is_stored_until_the_last_of_its_choices_has_ended(scripts: Scripts) -> None:
    scripts.enqueue("j1", choices=3, payload="x" * 50)
    first, second, third = scripts.dispatch(3)

    scripts.append(finished(third), finished(first))
    before = scripts.bytes()
    scripts.append(finished(second))

    assert (before, scripts.bytes()) == ((50, 50), (0, 0))
    assert not scripts.redis.exists(keys.payload("j1"), keys.payloads)


@pytest.mark.parametrize(
    ("bounds", "refusal"),
    [
        pytest.param({"most_bytes": 150}, ["heavy", 100], id="of one client"),
        pytest.param({"most_bytes_in_all": 250}, ["heavy", 200], id="in all"),
    ],
)
def test_no_more_bytes_are_stored_than_may_be(
    scripts: Scripts, bounds: dict[str, Any], refusal: list[Any]
) -> None:
    scripts.enqueue("b1", "bob", payload="x" * 100)
    scripts.enqueue("j1", payload="x" * 100)

    reply = scripts.enqueue("j2", payload="x" * 51, **bounds)
    fits = scripts.enqueue("j3", payload="x" * 50, **bounds)

    assert reply == refusal
    assert fits[0] == "queued"
    assert scripts.bytes() == (150, 250)


def test_one_who_asks_only_is_told_the_same_and_leaves_nothing(scripts: Scripts) -> None:
    welcome = scripts.enqueue("j1", payload="", size=100, most_bytes=100, per_minute=1)
    refused = scripts.enqueue("j1", payload="", size=101, most_bytes=100, per_minute=1)

    assert (welcome, refused) == (["welcome"], ["heavy", 0])
    assert set(scripts.redis.scan_iter()) == set()


def test_what_outlives_its_job_is_swept_and_counted_no_longer(scripts: Scripts) -> None:
    scripts.enqueue("lost", payload="x" * 70)
    scripts.enqueue("fine", "bob", payload="x" * 30)
    scripts.append(finished(next(g for g in scripts.dispatch(2) if g.id == "fine")))
    scripts.now += UNFINISHED_LIFE - 1
    scripts.heartbeat_of_gateway()
    before = scripts.bytes()
    scripts.now += 1

    scripts.heartbeat_of_gateway()

    assert (before, scripts.bytes()) == ((70, 70), (0, 0))
    assert not scripts.redis.exists(keys.payload("lost"), keys.payloads)


def test_a_blob_is_stored_once_and_counted_for_everyone_who_has_it(scripts: Scripts) -> None:
    scripts.enqueue("a1", choices=3, payload="x" * 10, blobs={"d1": b"y" * 100_000})
    scripts.enqueue("b1", "bob", payload="x" * 20, blobs={"d1": b"y" * 100_000})

    assert scripts.redis.hget(keys.blob("d1"), "data") == b"y" * 100_000
    assert scripts.bytes() == (100_010, 200_030)
    stored = sum(scripts.redis.memory_usage(key, 0) for key in scripts.redis.scan_iter())
    assert stored < 150_000


def test_a_blob_is_there_until_the_last_request_that_has_it_has_ended(scripts: Scripts) -> None:
    scripts.enqueue("a1", choices=2, blobs={"d1": b"y" * 5})
    scripts.enqueue("b1", "bob", blobs={"d1": b"y" * 5, "d2": b"z"})
    given = {each.id: each for each in scripts.dispatch(3)}

    scripts.append(finished(given["a1"]), finished(given["b1"]))
    left = scripts.redis.exists(keys.blob("d1")), scripts.redis.exists(keys.blob("d2"))
    scripts.append(finished(given["a1-1"]))

    assert left == (1, 0)
    assert not scripts.redis.exists(keys.blob("d1"), keys.blobs)
    assert scripts.bytes() == (0, 0)


def test_who_leaves_out_the_bytes_of_a_blob_that_is_gone_is_told_so(scripts: Scripts) -> None:
    scripts.enqueue("a1", blobs={"d1": b"y" * 5})

    asked = scripts.enqueue("b1", payload="", blobs={"d1": b"", "d2": b""})
    queued = scripts.enqueue("b1", blobs={"d1": b"", "d2": b"z"})
    for given in scripts.dispatch(2):
        scripts.append(finished(given))
    gone = scripts.enqueue("c1", blobs={"d1": b""})

    assert (asked, queued[0], gone) == (["welcome", b"d2"], "queued", ["welcome", b"d1"])
    assert not scripts.redis.exists(keys.job("c1"), keys.payload("c1"), keys.blob("d1"))


def test_a_request_that_is_queued_again_holds_its_blobs_once(scripts: Scripts) -> None:
    first = scripts.enqueue("a1", payload="x" * 10, blobs={"d1": b"y" * 5})

    again = scripts.enqueue("a1", payload="x" * 10, blobs={"d1": b"y" * 5})

    assert (first[0], again[0]) == ("queued", "queued")
    assert scripts.bytes() == (15, 15)
    scripts.cancel("a1")
    assert not scripts.redis.exists(keys.blob("d1"))


def test_a_blob_outlives_no_job_that_redis_has_lost(scripts: Scripts) -> None:
    scripts.enqueue("lost", blobs={"d1": b"y" * 5})
    scripts.redis.delete(keys.payload("lost"))
    scripts.now += UNFINISHED_LIFE - 1
    scripts.heartbeat_of_gateway()
    before = scripts.redis.exists(keys.blob("d1"))
    scripts.now += 1

    scripts.heartbeat_of_gateway()

    assert before == 1
    assert not scripts.redis.exists(keys.blob("d1"), keys.blobs)


def test_a_repeated_job_is_known_even_when_the_line_is_full(scripts: Scripts) -> None:
    ticket = scripts.enqueue("j1", most=1)

    again = scripts.enqueue("j1", most=1, most_in_all=1, unfinished=1, per_minute=1)

    assert again[:3] == ticket


def test_a_running_job_counts_as_unfinished_until_it_ends(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    given = scripts.dispatch()[0]
    busy = scripts.enqueue("j2", unfinished=1)
    scripts.append(finished(given))

    ticket = scripts.enqueue("j2", unfinished=1)

    assert busy == ["busy", 1]
    assert ticket == ["queued", 2, 1]


def test_the_rate_of_a_client_is_counted_over_any_minute(scripts: Scripts) -> None:
    scripts.enqueue("j1", per_minute=2)
    scripts.now += 10_000
    scripts.enqueue("j2", per_minute=2)
    scripts.now += 20_000
    early = scripts.enqueue("j3", per_minute=2)
    scripts.now += early[1]

    late = scripts.enqueue("j3", per_minute=2)

    assert early == ["limited", 30_000]
    assert late[0] == "queued"


def test_a_refused_job_does_not_count_against_the_rate(scripts: Scripts) -> None:
    scripts.enqueue("j1", per_minute=2)
    for n in range(5):
        scripts.enqueue(f"full{n}", most=1, per_minute=2)

    ticket = scripts.enqueue("j2", per_minute=2)

    assert ticket[0] == "queued"


def test_a_newcomer_enters_the_ring_at_the_present(scripts: Scripts) -> None:
    for n in range(10):
        scripts.enqueue(f"j{n}")
    scripts.dispatch(7)

    scripts.enqueue("b1", "bob")

    assert scripts.ring() == {"ann": 7.0, "bob": 6.0}


def test_a_client_that_comes_back_at_once_enters_where_it_left(scripts: Scripts) -> None:
    scripts.enqueue("j1", weight=0.25)
    scripts.dispatch()

    scripts.enqueue("j2", weight=0.25)

    assert scripts.ring() == {"ann": 4.0}


def test_the_bell_is_bounded(scripts: Scripts) -> None:
    for n in range(1010):
        scripts.enqueue(f"j{n}", most=2000)

    assert scripts.redis.llen(keys.bell) == 1000
