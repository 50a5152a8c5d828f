"""resend: which answer a request without an idempotency key belongs to."""

from __future__ import annotations

import pytest

from contract.messages import Failed, FailureKind, Record
from tests.support.keys import keys
from tests.support.scripts import CLAIM_LIFE, IDEM, TRIES, Given, Scripts, finished, text

HOLD = 5_000


def asked(scripts: Scripts, job: str, reader: str = "a", **more: int) -> None:
    """A request of a client that says how often it has sent it."""
    assert scripts.enqueue(job, reader=reader, key=TRIES, grace=HOLD, **more)[0] == "queued"


def begun(scripts: Scripts, job: str = "j1") -> Given:
    asked(scripts, job)
    (given,) = scripts.dispatch()
    return given


def leave(scripts: Scripts, job: str = "j1", reader: str = "a") -> str:
    return scripts.leave(job, reader, key=TRIES)


def test_first_tries_are_requests_of_their_own(scripts: Scripts) -> None:
    asked(scripts, "j1")
    asked(scripts, "j2", "b")

    assert [given.id for given in scripts.dispatch(5)] == ["j1", "j2"]


def test_a_job_goes_on_for_the_hold_and_no_longer(scripts: Scripts) -> None:
    given = begun(scripts)
    assert leave(scripts) == "kept"

    scripts.now += HOLD - 1
    scripts.reclaim()
    assert scripts.append(text(given)) == [0]
    assert scripts.resend("", "session") == "j1"
    scripts.now += 1
    scripts.reclaim()

    assert scripts.append(text(given, seq=2)) == [1]
    assert scripts.resend("j2") == "j2"


def test_who_sends_again_in_time_reads_on(scripts: Scripts) -> None:
    given = begun(scripts)
    leave(scripts)

    assert scripts.resend("j2") == "j1"
    asked(scripts, "j1", "b")
    scripts.now += HOLD
    scripts.reclaim()

    assert scripts.append(text(given)) == [0]


def test_who_was_cut_off_goes_before_who_still_reads(scripts: Scripts) -> None:
    asked(scripts, "j1")
    asked(scripts, "j2", "b")
    leave(scripts, "j2", "b")

    assert scripts.resend("j3") == "j2"


def test_two_resends_at_once_join_two_that_were_cut_off(scripts: Scripts) -> None:
    asked(scripts, "j1")
    asked(scripts, "j2", "b")
    leave(scripts, "j1")
    leave(scripts, "j2", "b")
    scripts.now += 1

    assert [scripts.resend("j3"), scripts.resend("j4")] == ["j1", "j2"]


def test_a_resend_whose_first_was_never_queued_is_queued_in_its_place(scripts: Scripts) -> None:
    assert scripts.resend("j1", "session") == "j1"
    assert scripts.resend("j2", "session") == "j1"
    asked(scripts, "j1", "b")
    assert [given.id for given in scripts.dispatch(5)] == ["j1"]


def test_a_claim_whose_job_is_never_queued_is_soon_forgotten(scripts: Scripts) -> None:
    scripts.resend("j1", "session")
    assert 0 < scripts.redis.pttl(keys.tries(IDEM)) <= CLAIM_LIFE

    scripts.now += CLAIM_LIFE
    assert scripts.resend("j2", "session") == "j2"


@pytest.mark.parametrize("sent", ["session", "retry"])
def test_an_answer_that_ended_unread_is_kept_for_the_hold(scripts: Scripts, sent: str) -> None:
    given = begun(scripts)
    leave(scripts)
    scripts.append(finished(given))

    assert scripts.resend("", sent) == "j1"
    assert 0 < scripts.redis.pttl(keys.ended(IDEM)) <= HOLD
    scripts.now += HOLD
    assert scripts.resend("j2", sent) == "j2"


def test_an_answer_that_was_read_is_only_for_who_says_that_it_was_lost(scripts: Scripts) -> None:
    given = begun(scripts)
    scripts.append(finished(given))

    assert scripts.resend("", "session") is None
    assert scripts.resend("j2", "retry") == "j2"  # for the one that has just been refused
    leave(scripts, "j2")
    assert scripts.resend("", "retry") == "j1"


def test_who_leaves_before_it_has_read_the_end_may_come_back_for_it(scripts: Scripts) -> None:
    given = begun(scripts)
    scripts.append(finished(given))

    assert leave(scripts) == "gone"

    assert scripts.resend("", "session") == "j1"
    assert leave(scripts, reader="b") == "gone"
    assert scripts.resend("", "session") == "j1"


def test_an_answer_that_was_joined_after_its_end_is_asked_anew(scripts: Scripts) -> None:
    given = begun(scripts)
    leave(scripts)
    scripts.append(finished(given))
    assert scripts.resend("", "session") == "j1"

    assert scripts.resend("j2", "session") == "j2"


def test_a_failure_that_cost_nothing_is_tried_again(scripts: Scripts) -> None:
    given = begun(scripts)
    leave(scripts)
    failed = Failed(FailureKind.UPSTREAM_FAILED, "no")
    scripts.append(Record("j1", given.epoch, 1, (failed,)))

    assert leave(scripts, reader="late") == "gone"
    assert scripts.resend("j2", "session") == "j2"


def test_for_each_request_that_was_refused_one_begins_anew(scripts: Scripts) -> None:
    begun(scripts)
    assert scripts.enqueue("j2", reader="b", key=TRIES, most=0) == ["full", 0]
    asked(scripts, "j3", "c")
    assert scripts.withdraw("j3", reader="c", key=TRIES) == 1

    assert scripts.resend("j4") == "j4"
    assert scripts.resend("") is None  # and is refused itself
    assert scripts.resend("j5") == "j5"
    assert scripts.resend("j6") == "j1"


def test_nobody_joins_a_request_that_was_cancelled_meanwhile(scripts: Scripts) -> None:
    begun(scripts)
    assert scripts.resend("j2") == "j1"
    scripts.leave("j1", "a", key=TRIES, at_once=True)

    assert scripts.enqueue("j1", reader="b", key=TRIES) == ["forgotten"]


def test_a_repeated_call_changes_nothing(scripts: Scripts) -> None:
    asked(scripts, "j1")
    for number in range(64):
        asked(scripts, f"k{number}", f"r{number}")

    asked(scripts, "j1")

    assert len(scripts.dispatch(100)) == 65
    assert scripts.redis.hlen(keys.tries(IDEM)) <= 64


def test_it_is_no_idempotency_key(scripts: Scripts) -> None:
    assert begun(scripts).keyed is False


def test_choices_end_together(scripts: Scripts) -> None:
    asked(scripts, "j1", choices=2)
    first, second = scripts.dispatch(2)
    scripts.append(finished(first))
    assert scripts.resend("", choices=2) == "j1"

    leave(scripts, "j1-1")
    scripts.append(finished(second))

    assert scripts.resend("", "session", choices=2) == "j1"
    assert scripts.redis.exists(keys.tries(IDEM)) == 0


def test_nothing_of_it_lasts(scripts: Scripts) -> None:
    given = begun(scripts)
    scripts.resend("j2")
    scripts.append(finished(given))

    assert scripts.lasting_keys() <= {
        *(keys.client("ann"), keys.totals, keys.jobs("ann"), keys.bell, keys.ledger),
    }


def test_what_is_held_gives_way_to_what_its_client_asks_now(scripts: Scripts) -> None:
    given = begun(scripts)
    leave(scripts)

    # Its worker has yet to end it.
    assert scripts.enqueue("j2", unfinished=1) == ["busy", 1]
    assert scripts.append(finished(given)) == [1]
    assert scripts.enqueue("j2", unfinished=1)[0] == "queued"


def test_what_is_held_in_the_queue_gives_way_at_once(scripts: Scripts) -> None:
    asked(scripts, "j1")
    leave(scripts)

    assert scripts.enqueue("j2", unfinished=1)[0] == "queued"
    assert [given.id for given in scripts.dispatch(5)] == ["j2"]


def test_what_another_client_or_a_reader_waits_for_gives_way_to_nobody(scripts: Scripts) -> None:
    given = begun(scripts)

    assert scripts.enqueue("j2", unfinished=1) == ["busy", 1]
    leave(scripts)
    assert scripts.enqueue("b1", "bob", unfinished=1)[0] == "queued"
    assert scripts.enqueue("b2", "bob", unfinished=1) == ["busy", 1]

    assert scripts.append(text(given)) == [0]
