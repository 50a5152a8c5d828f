"""withdraw.lua: who will not wait any longer is refused only what has cost nothing."""

from __future__ import annotations

import pytest

from tests.support.keys import keys
from tests.support.scripts import IDEM, Scripts, finished


def test_what_waits_is_gone(scripts: Scripts) -> None:
    scripts.enqueue("j1", choices=2)

    gone = scripts.withdraw("j1", 2)

    assert gone == 1
    assert scripts.dispatch(2) == []
    assert scripts.tally() == {}
    assert scripts.bytes() == (0, 0)


def test_what_a_worker_has_but_has_not_sent_yet_is_never_sent(scripts: Scripts) -> None:
    scripts.heartbeat("w1", ["b"])
    scripts.enqueue("j1")
    given = scripts.dispatch()[0]

    with scripts.heard(keys.control("w1")) as told:
        gone = scripts.withdraw("j1")

    assert gone == 1
    assert told == [b"j1"]
    assert scripts.acquire("g1", job="j1", epoch=given.epoch) == ["gone"]
    assert scripts.note_call(given, "sent") == 0


def test_what_may_be_on_its_way_to_poe_goes_on_with_all_its_choices(scripts: Scripts) -> None:
    scripts.enqueue("j1", choices=3)
    scripts.note_call(scripts.dispatch(2)[1], "sent")

    gone = scripts.withdraw("j1", 3)

    assert gone == 0
    assert [scripts.state(name) for name in ("j1", "j1-1", "j1-2")] == [
        "running",
        "running",
        "queued",
    ]
    assert scripts.redis.hget(keys.job("j1"), "cancelled") is None


def test_what_has_ended_meanwhile_has_ended_so(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.append(finished(scripts.dispatch()[0]))

    assert scripts.withdraw("j1") == 0


def test_what_was_handed_back_waits_again(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    given = scripts.dispatch()[0]
    scripts.note_call(given, "sent")
    scripts.requeue(given, tried="t")

    assert scripts.withdraw("j1") == 1
    assert scripts.tally() == {}


def test_other_readers_keep_it(scripts: Scripts) -> None:
    scripts.claim("j1")
    scripts.enqueue("j1", reader="a")
    scripts.enqueue("j1", gateway="g2", reader="b")

    assert scripts.withdraw("j1", reader="a") == 1
    assert scripts.state("j1") == "queued"

    assert scripts.withdraw("j1", reader="b", gateway="g2") == 1
    assert scripts.state("j1") == "done"
    assert not scripts.redis.exists(keys.idem(IDEM))


def test_the_choices_of_what_may_have_cost_something_wait_on_behind_their_deadline(
    scripts: Scripts,
) -> None:
    scripts.enqueue("j1", choices=2, wait=1000)
    scripts.enqueue("j2", choices=2, wait=1000)
    scripts.note_call(scripts.dispatch()[0], "sent")
    scripts.now += 1000

    late = scripts.dispatch(9)

    assert [given.id for given in late] == ["j1-1"]
    assert len(scripts.ends("j2")) == len(scripts.ends("j2-1")) == 1


@pytest.mark.parametrize("tried", ["t,unheard", "corrected,t"])
def test_what_was_handed_back_after_it_may_have_been_paid_for_waits_on(
    scripts: Scripts, tried: str
) -> None:
    scripts.enqueue("j1", wait=1000)
    given = scripts.dispatch()[0]
    scripts.requeue(given, tried=tried)
    scripts.now += 3000

    gone = scripts.withdraw("j1")
    scripts.reclaim()

    assert gone == 0
    assert [again.tried for again in scripts.dispatch()] == [tried]
