"""Answers that are kept after their end, and what becomes of them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from redis import exceptions

from contract.calls.call import Call
from contract.calls.gateway import Kept
from contract.calls.kept import Broken, Discard, MakeRoom, Recall, Settle, Stop, Turn
from contract.messages import Failed, FailureKind
from tests.support.keys import keys
from tests.support.scripts import LIFE, Given, Scripts, finished, text

LIFE_OF_KEPT = 3_000_000
BACKGROUND_GRACE = 80_000_000
PLENTY = 10_000_000
CANCELLED = Failed(FailureKind.CANCELLED, "cancelled")


def keep(**changed: Any) -> Kept:
    given: dict[str, Any] = {
        "head": b"head",
        "input": b'"hi"',
        "previous": "",
        "background": False,
        "life": LIFE_OF_KEPT / 1000,
        "most": PLENTY,
        "most_in_all": PLENTY,
    }
    return Kept(**given | changed)


def queue(
    scripts: Scripts, job: str, client: str = "ann", grace: int = 1000, **changed: Any
) -> None:
    """A job whose answer is to be kept, with one reader."""
    scripts.enqueue(job, client, reader="r1", grace=grace, key="", kept=keep(**changed))


def ask(scripts: Scripts, job: str, client: str = "ann", **changed: Any) -> Given:
    """A job whose answer is to be kept, at a worker."""
    queue(scripts, job, client, **changed)
    (given,) = scripts.dispatch()
    return given


def answer(scripts: Scripts, job: str, client: str = "ann", **changed: Any) -> None:
    """A kept answer that has ended."""
    given = ask(scripts, job, client, **changed)
    scripts.append(text(given), finished(given, 2))


def is_kept(scripts: Scripts, job: str) -> bool:
    return bool(scripts.redis.hexists(keys.kept(job), "bytes"))


def sums(scripts: Scripts) -> tuple[int, int]:
    """The bytes that `ann` and all have kept."""
    held = [scripts.redis.hget(key, "kept") for key in (keys.client("ann"), keys.totals)]
    return int(held[0] or 0), int(held[1] or 0)


def recall(scripts: Scripts, job: str, client: str = "ann", most: int = PLENTY) -> Any:
    return scripts.run(Recall(job=job, client=client, most=most, continued=True))


def why(scripts: Scripts, job: str) -> bytes | None:
    found: bytes | None = scripts.redis.hget(keys.kept(job), "gone")
    return found


def test_an_answer_is_kept_with_its_log_for_its_life(scripts: Scripts) -> None:
    answer(scripts, "j1")

    assert LIFE < scripts.redis.pttl(keys.log("j1")) <= LIFE_OF_KEPT
    assert scripts.redis.pttl(keys.kept("j1")) == -1
    due = scripts.redis.zscore(keys.keeps, "j1")
    assert due == scripts.redis.zscore(keys.keeps_of("ann"), "j1")
    assert abs(due - time.time() * 1000 - LIFE_OF_KEPT) < 60_000
    size = int(scripts.redis.hget(keys.kept("j1"), "bytes"))
    assert size > 0
    assert sums(scripts) == (size, size)


def test_an_answer_that_is_not_to_be_kept_is_not(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    (given,) = scripts.dispatch()
    scripts.append(finished(given))

    assert scripts.redis.pttl(keys.log("j1")) <= LIFE
    assert sums(scripts) == (0, 0)


def test_what_was_cancelled_in_the_queue_leaves_nothing(scripts: Scripts) -> None:
    queue(scripts, "j1")
    assert scripts.cancel("j1") == "dropped"

    assert scripts.redis.exists(keys.kept("j1")) == 0
    assert sums(scripts) == (0, 0)


def test_a_clients_oldest_answers_give_way_to_its_newer_ones(scripts: Scripts) -> None:
    answer(scripts, "j1")
    size, _ = sums(scripts)
    most = 2 * size + size // 2
    scripts.redis.zadd(keys.keeps_of("ann"), {"j1": 1})

    answer(scripts, "j2")
    answer(scripts, "j3", client="bob", most=most)
    answer(scripts, "j4", most=most)

    assert [is_kept(scripts, job) for job in ("j1", "j2", "j3", "j4")] == [False, True, True, True]
    assert why(scripts, "j1") == b"room"
    assert sums(scripts)[0] <= most


def test_the_oldest_of_all_give_way_beyond_the_bound_of_all(scripts: Scripts) -> None:
    answer(scripts, "j1", client="bob")
    size = sums(scripts)[1]
    scripts.redis.zadd(keys.keeps, {"j1": 1})

    answer(scripts, "j2", most_in_all=size + size // 2)

    assert (is_kept(scripts, "j1"), is_kept(scripts, "j2")) == (False, True)
    assert sums(scripts)[1] <= size + size // 2


def test_an_answer_beyond_its_clients_bound_takes_none_with_it(scripts: Scripts) -> None:
    answer(scripts, "j1")
    answer(scripts, "j2", most=sums(scripts)[0] + 1_000, input=b"x" * 100_000)

    assert (is_kept(scripts, "j1"), is_kept(scripts, "j2")) == (True, False)


def test_who_reads_what_has_given_way_reads_on(scripts: Scripts) -> None:
    answer(scripts, "j1", most=1)

    assert not is_kept(scripts, "j1")
    assert 0 < scripts.redis.pttl(keys.log("j1")) <= scripts.redis.pttl(keys.job("j1")) + 1_000


def test_what_is_due_expires_and_is_known_to_have(scripts: Scripts) -> None:
    answer(scripts, "j1")
    scripts.heartbeat_of_gateway()
    assert is_kept(scripts, "j1")

    scripts.redis.zadd(keys.keeps, {"j1": scripts.now})
    scripts.heartbeat_of_gateway()

    assert why(scripts, "j1") == b"expired"
    assert scripts.redis.pttl(keys.kept("j1")) > 0
    assert sums(scripts) == (0, 0)
    assert scripts.redis.exists(keys.keeps, keys.keeps_of("ann")) == 0


def test_a_conversation_is_found_from_its_last_answer(scripts: Scripts) -> None:
    answer(scripts, "j1")
    answer(scripts, "j2", previous="j1", input=b'"two"')
    assert scripts.run(Settle(job="j1", output=b"[1]"))
    assert not scripts.run(Settle(job="j1", output=b"[2]"))

    turns = recall(scripts, "j2")

    assert turns == (Turn("j1", b'"hi"', b"[1]"), Turn("j2", b'"two"', b""))
    held = sum(int(scripts.redis.hget(keys.kept(job), "bytes")) for job in ("j1", "j2"))
    assert sums(scripts) == (held, held)


def test_a_conversation_in_use_does_not_grow_old(scripts: Scripts) -> None:
    answer(scripts, "j1")
    scripts.redis.zadd(keys.keeps, {"j1": 1})
    scripts.redis.zadd(keys.keeps_of("ann"), {"j1": 1})
    scripts.redis.pexpire(keys.log("j1"), LIFE)

    recall(scripts, "j1")

    assert scripts.redis.zscore(keys.keeps, "j1") > time.time() * 1000
    assert scripts.redis.zscore(keys.keeps_of("ann"), "j1") > time.time() * 1000
    assert scripts.redis.pttl(keys.log("j1")) > LIFE


def test_a_broken_conversation_says_where(scripts: Scripts) -> None:
    answer(scripts, "j1")
    answer(scripts, "j2", previous="j1")
    ask(scripts, "j3", previous="j2")

    assert recall(scripts, "j3") == Broken("unended", "j3")
    assert recall(scripts, "j2", most=6) == Broken("large", "j1")
    assert recall(scripts, "j2", client="bob") == Broken("unknown", "j2")
    scripts.run(Discard(job="j1", client="ann"))
    assert recall(scripts, "j2") == Broken("unknown", "j1")


def test_only_its_client_deletes_an_answer(scripts: Scripts) -> None:
    answer(scripts, "j1")
    assert not scripts.run(Discard(job="j1", client="bob"))

    assert scripts.run(Discard(job="j1", client="ann"))
    assert not scripts.run(Discard(job="j1", client="ann"))

    assert scripts.redis.exists(keys.log("j1")) == 0
    assert why(scripts, "j1") == b"deleted"
    assert sums(scripts) == (0, 0)


def test_who_reads_an_answer_that_is_deleted_reads_on_to_its_end(scripts: Scripts) -> None:
    given = ask(scripts, "j1")
    scripts.append(text(given))

    assert scripts.run(Discard(job="j1", client="ann"))

    assert scripts.append(finished(given, 2)) == [0]
    assert scripts.redis.xlen(keys.log("j1")) == 2
    assert scripts.redis.pttl(keys.log("j1")) <= LIFE
    assert sums(scripts) == (0, 0)


def test_to_delete_one_that_runs_in_the_background_cancels_it(scripts: Scripts) -> None:
    given = ask(scripts, "j1", background=True)

    assert scripts.run(Discard(job="j1", client="ann"))

    assert scripts.append(text(given)) == [1]


def test_a_background_answer_is_stopped_whoever_reads_it(scripts: Scripts) -> None:
    given = ask(scripts, "j1", background=True)
    stop = Stop(job="j1", client="ann", end=CANCELLED)

    with scripts.heard(keys.control("w1")) as heard:
        assert scripts.run(stop) == "told"
    assert len(heard) == 1
    assert scripts.append(text(given)) == [1]
    scripts.append(finished(given, 2))
    assert scripts.run(stop) == "ended"
    assert scripts.run(Stop(job="j1", client="bob", end=CANCELLED)) == "unknown"


@pytest.mark.parametrize("left", ["by a dead worker", "by a worker that hands it back"])
@pytest.mark.parametrize(
    ("order", "told"),
    [
        (Stop(job="j1", client="ann", end=CANCELLED), "cancelled"),
        (Discard(job="j1", client="ann"), "interrupted"),
    ],
    ids=["stopped", "deleted"],
)
def test_whoever_reads_an_answer_hears_of_its_end_where_its_worker_cannot_tell(
    scripts: Scripts, order: Call[Any], told: str, left: str
) -> None:
    scripts.heartbeat("w1", life=6000)
    given = ask(scripts, "j1", background=True)

    scripts.run(order)
    if left == "by a dead worker":
        scripts.now += 6000
        scripts.reclaim()
    else:
        assert scripts.requeue(given) == 0

    assert [end.message for end in scripts.ends("j1")] == [told]
    assert is_kept(scripts, "j1") is (told == "cancelled")
    assert scripts.state("j1") == "done"
    assert scripts.tally() == {}


def test_one_that_waits_is_stopped_with_an_end_that_can_be_read(scripts: Scripts) -> None:
    queue(scripts, "j1", background=True)

    assert scripts.run(Stop(job="j1", client="ann", end=CANCELLED)) == "ended"

    assert scripts.dispatch() == []
    assert scripts.ends("j1") == [CANCELLED]
    assert is_kept(scripts, "j1")
    assert scripts.tally() == {}


def test_one_that_has_a_client_is_not_stopped_by_others(scripts: Scripts) -> None:
    given = ask(scripts, "j1")

    assert scripts.run(Stop(job="j1", client="ann", end=CANCELLED)) == "attended"
    assert scripts.append(text(given)) == [0]


def test_one_that_has_waited_too_long_ends_when_it_is_looked_at(scripts: Scripts) -> None:
    queue(scripts, "j1", background=True)
    look = Stop(job="j1", client="ann", end=CANCELLED, if_overdue=True)

    assert scripts.run(look) == "waits"
    scripts.now += 60_000
    assert scripts.run(look) == "ended"

    assert scripts.ends("j1") == [CANCELLED]


def test_a_background_answer_goes_on_when_its_reader_or_its_gateway_is_gone(
    scripts: Scripts,
) -> None:
    queue(scripts, "j1", grace=BACKGROUND_GRACE, background=True)
    queue(scripts, "j2", grace=BACKGROUND_GRACE, background=True)
    one, two = scripts.dispatch(2)
    assert scripts.leave("j1", "r1", key="") == "kept"
    scripts.redis.zadd(keys.gateways, {"g1": scripts.now - 1})

    scripts.reclaim()
    scripts.now += 600_000
    scripts.reclaim()

    assert scripts.append(text(one), text(two)) == [0, 0]


def test_another_reader_does_not_change_how_long_an_answer_goes_on(scripts: Scripts) -> None:
    given = ask(scripts, "j1", grace=BACKGROUND_GRACE, background=True)
    scripts.enqueue("j1", reader="r2", grace=1, key="")
    scripts.leave("j1", "r1", key="")
    scripts.leave("j1", "r2", key="")

    scripts.now += 600_000
    scripts.reclaim()

    assert scripts.append(text(given)) == [0]


def test_a_full_redis_is_emptied_of_the_oldest(scripts: Scripts) -> None:
    for number in range(4):
        answer(scripts, f"j{number}")
    scripts.redis.zadd(keys.keeps, {f"j{number}": number for number in range(4)})
    size = sums(scripts)[0] // 4

    freed = scripts.run(MakeRoom(wanted=size + 1))

    assert freed >= size + 1
    assert [is_kept(scripts, f"j{number}") for number in range(4)] == [False, False, True, True]


def test_in_a_full_redis_answers_are_kept_deleted_and_found(scripts: Scripts) -> None:
    given = ask(scripts, "j1")
    answer(scripts, "j2")
    scripts.redis.config_set("maxmemory", "1")
    try:
        assert scripts.append(finished(given, 1)) == [0]
        assert is_kept(scripts, "j1")
        assert len(recall(scripts, "j2")) == 1
        with pytest.raises(exceptions.OutOfMemoryError):
            scripts.run(Settle(job="j2", output=b"[]"))
        assert scripts.run(Discard(job="j2", client="ann"))
        assert scripts.run(MakeRoom(wanted=1)) > 0
    finally:
        scripts.redis.config_set("maxmemory", "0")
