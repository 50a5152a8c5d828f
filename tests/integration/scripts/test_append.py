"""append.lua: the log is the truth, and only the job's present worker writes it."""

from __future__ import annotations

import struct

import msgspec
import pytest
from redis.exceptions import ResponseError

from contract.calls.worker import CallNote
from contract.messages import Frame, Record, Text
from tests.support.keys import keys
from tests.support.scripts import LIFE, START, Given, Scripts, finished, started, text

APPENDED, LEFT, STALE = 0, 1, 2


def _given(scripts: Scripts, *jobs: str, gateway: str = "g1") -> list[Given]:
    for job in jobs:
        scripts.enqueue(job, gateway=gateway)
    return scripts.dispatch(len(jobs))


def test_what_was_appended_is_read_back(scripts: Scripts) -> None:
    (given,) = _given(scripts, "j1")
    records = [started(given, 1), text(given, "Hello", 2), finished(given, 3)]

    verdicts = [scripts.append(record) for record in records]

    assert verdicts == [[APPENDED]] * 3
    assert scripts.log("j1") == records


def test_an_append_that_is_repeated_after_a_lost_reply_changes_nothing(scripts: Scripts) -> None:
    (given,) = _given(scripts, "j1")
    records = [started(given, 1), text(given, "Hello", 2)]
    for record in records:
        scripts.append(record)

    with scripts.heard(keys.events("g1")) as frames:
        verdicts = scripts.append(*records)

    assert verdicts == [APPENDED, APPENDED]
    assert scripts.log("j1") == records
    assert [msgspec.msgpack.decode(frame, type=Frame) for frame in frames] == []


def test_the_last_append_too_may_be_repeated(scripts: Scripts) -> None:
    (given,) = _given(scripts, "j1")
    scripts.append(finished(given))

    verdicts = scripts.append(finished(given))

    assert verdicts == [APPENDED]
    assert len(scripts.ends("j1")) == 1
    assert scripts.tally() == {}


def test_a_worker_that_no_longer_has_the_job_is_told_so(scripts: Scripts) -> None:
    (old,) = _given(scripts, "j1")
    scripts.append(started(old))
    scripts.requeue(old)
    (new,) = scripts.dispatch(1, "w2")
    scripts.append(text(new, "new"))

    verdicts = scripts.append(text(old, "old", 2))

    assert verdicts == [STALE]
    assert [event for event in scripts.events("j1") if isinstance(event, Text)] == [Text("new")]


def test_a_record_of_an_unknown_job_is_stale(scripts: Scripts) -> None:
    verdicts = scripts.append(Record("never", 1, 1, (Text("?"),)))

    assert verdicts == [STALE]
    assert scripts.redis.dbsize() == 0


def test_nothing_follows_the_end(scripts: Scripts) -> None:
    (given,) = _given(scripts, "j1")
    scripts.append(finished(given, 1))

    verdicts = scripts.append(text(given, "more", 2)) + scripts.append(finished(given, 3))

    assert verdicts == [STALE, STALE]
    assert scripts.log("j1") == [finished(given, 1)]


def test_nothing_is_appended_to_a_job_that_was_cancelled_on_its_way_back(scripts: Scripts) -> None:
    (given,) = _given(scripts, "j1")
    scripts.cancel("j1")
    scripts.requeue(given)

    verdicts = scripts.append(started(given))

    assert verdicts == [STALE]
    assert scripts.log("j1") == []


def test_one_frame_goes_to_each_gateway_with_the_records_of_its_jobs(scripts: Scripts) -> None:
    ours = _given(scripts, "j1", "j2")
    theirs = _given(scripts, "j3", gateway="g2")

    with scripts.heard(keys.events("g1")) as g1, scripts.heard(keys.events("g2")) as g2:
        scripts.append(text(ours[0]), text(theirs[0]), text(ours[1]))

    frames = [[msgspec.msgpack.decode(f, type=Frame) for f in frames] for frames in (g1, g2)]
    assert frames == [[[text(ours[0]), text(ours[1])]], [[text(theirs[0])]]]


@pytest.mark.parametrize("count", [1, 255, 256, 300])
def test_a_frame_of_many_records_is_one_array(scripts: Scripts, count: int) -> None:
    (given,) = _given(scripts, "j1")
    records = [text(given, str(n), n) for n in range(1, count + 1)]

    with scripts.heard(keys.events("g1")) as frames:
        scripts.append(*records)

    assert [msgspec.msgpack.decode(frame, type=Frame) for frame in frames] == [records]
    assert frames[0][:3] == b"\xdc" + struct.pack(">H", count)


def test_the_last_record_ends_the_job(scripts: Scripts) -> None:
    (given,) = _given(scripts, "j1")

    scripts.append(text(given, seq=1), finished(given, 2))

    assert scripts.state("j1") == "done"
    assert scripts.tally() == {}
    assert (scripts.redis.xlen("p2g:jobs:ann"), scripts.pending()) == (0, 0)
    assert not scripts.redis.exists("p2g:owned:w1")
    for key in ("p2g:log:{j1}", "p2g:job:{j1}"):
        assert 0 < scripts.redis.pttl(key) <= LIFE


def test_an_unfinished_log_lives_as_long_as_its_job_may(scripts: Scripts) -> None:
    (given,) = _given(scripts, "j1")

    scripts.append(started(given))

    job = scripts.redis.pttl("p2g:job:{j1}")
    assert LIFE < scripts.redis.pttl("p2g:log:{j1}") <= job


def test_the_worker_learns_that_its_client_has_left(scripts: Scripts) -> None:
    staying, leaving = _given(scripts, "j1", "j2")
    scripts.cancel("j2")

    verdicts = scripts.append(text(staying), text(leaving))

    assert verdicts == [APPENDED, LEFT]


def test_one_stale_record_does_not_hold_up_the_others(scripts: Scripts) -> None:
    one, two, three = _given(scripts, "j1", "j2", "j3")
    scripts.requeue(two)

    verdicts = scripts.append(text(one), text(two), text(three))

    assert verdicts == [APPENDED, STALE, APPENDED]


def test_a_fault_of_redis_itself_is_not_taken_for_a_repetition(scripts: Scripts) -> None:
    (given,) = _given(scripts, "j1")
    scripts.redis.set("p2g:log:{j1}", "no stream")

    with pytest.raises(ResponseError, match="WRONGTYPE"):
        scripts.append(text(given))

    assert scripts.state("j1") == "running"


def _granted(scripts: Scripts, **limits: int) -> Given:
    (given,) = _given(scripts, "j1")
    scripts.heartbeat("w1", batches=["b"])
    assert scripts.acquire("g1", job="j1", epoch=given.epoch, **limits)[0] == "granted"
    return given


def test_a_call_that_was_sent_counts_from_that_instant_on(scripts: Scripts) -> None:
    given = _granted(scripts, guard=5000)

    scripts.append(notes=[CallNote("j1", given.epoch, sent=START + 70)])

    assert scripts.redis.zrange("p2g:uses:a", 0, -1, withscores=True) == [(b"g1", START + 70)]


def test_a_grant_says_that_the_call_is_sent_and_a_note_that_it_was_answered(
    scripts: Scripts,
) -> None:
    given = _granted(scripts)
    sent = scripts.redis.hget(keys.job("j1"), "call")

    scripts.append(notes=[CallNote("j1", given.epoch, answered=True)])

    answered = scripts.redis.hget(keys.job("j1"), "call")
    assert [sent, answered] == [b"sent", b"answered"]


def test_a_job_that_went_to_another_worker_takes_no_note_of_the_first(scripts: Scripts) -> None:
    old = _granted(scripts, guard=5000)
    scripts.requeue(old)
    scripts.dispatch(1, "w2")

    scripts.append(notes=[CallNote("j1", old.epoch, sent=START + 70, answered=True)])

    assert scripts.redis.hget(keys.job("j1"), "call") == b""
    assert scripts.redis.zscore("p2g:uses:a", "g1") == START + 5000


def test_the_last_record_gives_the_grant_back(scripts: Scripts) -> None:
    given = _granted(scripts, most=1)
    full = scripts.acquire("g2", most=1)

    scripts.append(finished(given))

    assert full == ["full"]
    assert scripts.acquire("g2", most=1)[0] == "granted"


def test_the_grant_of_a_token_that_has_moved_is_given_back_where_it_is_now(
    scripts: Scripts,
) -> None:
    given = _granted(scripts, most=1)
    # given a worker that has read the token under a named account
    assert scripts.acquire("g2", account="named", most=1) == ["full"]

    scripts.append(finished(given))

    assert scripts.acquire("g2", account="named", most=1)[0] == "granted"
