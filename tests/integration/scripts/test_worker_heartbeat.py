"""worker_heartbeat.lua: batches of tokens find their owners."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.keys import keys
from tests.support.scripts import START, Scripts

LIFE = 6000
STEP = LIFE // 3


def _batches(count: int) -> list[str]:
    return [f"b{n:04}" for n in range(count)]


def _workers(count: int) -> list[str]:
    return [f"w{n}" for n in range(count)]


def _settle(scripts: Scripts, workers: list[str], batches: list[str]) -> dict[str, dict[str, int]]:
    """Let all beat until nobody's share can change any more; return what each holds."""
    held: dict[str, dict[str, int]] = {}
    for _ in range(4):
        scripts.now += STEP
        for worker in workers:
            held[worker] = scripts.heartbeat(worker, batches, life=LIFE)
    return held


@contextmanager
def _connected(scripts: Scripts, workers: Iterable[str]) -> Iterator[None]:
    """Inside the block, these workers hear their cancellations, as all do that exist."""
    with scripts.redis.pubsub() as subscription:
        for worker in workers:
            subscription.subscribe(keys.control(worker))
            assert subscription.get_message(timeout=5)["type"] == "subscribe"
        yield


def _shares(held: dict[str, dict[str, int]]) -> list[int]:
    return sorted(len(fences) for fences in held.values())


def _assert_each_has_one_owner(held: dict[str, dict[str, int]], batches: list[str]) -> None:
    assert sorted(batch for fences in held.values() for batch in fences) == sorted(batches)


@pytest.mark.parametrize(
    ("batches", "workers", "shares"),
    [
        pytest.param(7, 4, [1, 2, 2, 2], id="7 for 4"),
        pytest.param(1, 4, [0, 0, 0, 1], id="1 for 4"),
        pytest.param(1000, 3, [333, 333, 334], id="1000 for 3"),
        pytest.param(10, 4, [2, 2, 3, 3], id="10 for 4"),
        pytest.param(4, 4, [1, 1, 1, 1], id="4 for 4"),
        pytest.param(5, 1, [5], id="all for one"),
        pytest.param(0, 2, [0, 0], id="none"),
    ],
)
def test_shares_are_even(scripts: Scripts, batches: int, workers: int, shares: list[int]) -> None:
    held = _settle(scripts, _workers(workers), _batches(batches))

    assert _shares(held) == shares
    _assert_each_has_one_owner(held, _batches(batches))


def test_a_settled_share_stays_with_its_owner(scripts: Scripts) -> None:
    before = _settle(scripts, _workers(3), _batches(10))

    after = _settle(scripts, _workers(3), _batches(10))

    assert after == before


def test_a_newcomer_gets_its_share(scripts: Scripts) -> None:
    alone = _settle(scripts, ["w0"], _batches(4))

    held = _settle(scripts, ["w0", "w1"], _batches(4))

    assert _shares(alone) == [4]
    assert _shares(held) == [2, 2]
    _assert_each_has_one_owner(held, _batches(4))


def test_one_that_leaves_lets_everything_go_at_once(scripts: Scripts) -> None:
    _settle(scripts, ["w0", "w1"], _batches(4))

    left = scripts.heartbeat("w1", _batches(4), life=LIFE, leaving=True)
    held = scripts.heartbeat("w0", _batches(4), life=LIFE)

    assert left == {}
    assert sorted(held) == _batches(4)
    assert not scripts.redis.exists("p2g:worker:w1")
    assert scripts.redis.zscore("p2g:workers", "w1") is None


def test_one_that_leaves_with_jobs_is_still_among_the_living(scripts: Scripts) -> None:
    scripts.enqueue("j1")
    scripts.heartbeat("w0", _batches(1))
    scripts.dispatch(1, "w0")

    scripts.heartbeat("w0", _batches(1), life=LIFE, leaving=True)

    assert scripts.redis.zscore("p2g:workers", "w0") == START + LIFE
    assert scripts.heartbeat("w1", _batches(1)) == {"b0000": 2}


def test_the_share_of_the_dead_goes_to_the_living_when_their_leases_lapse(
    scripts: Scripts,
) -> None:
    _settle(scripts, ["w0", "w1"], _batches(4))
    lapses = scripts.now + LIFE
    scripts.now = lapses - 1
    early = scripts.heartbeat("w0", _batches(4), life=LIFE)
    scripts.now = lapses

    late = scripts.heartbeat("w0", _batches(4), life=LIFE)

    assert len(early) == 2
    assert sorted(late) == _batches(4)


def _beats_until_taken_over(scripts: Scripts, dead_since: int) -> int:
    """Let w0 beat every 100 ms; return when it has w1's batches too, since w1's last beat."""
    while len(scripts.heartbeat("w0", _batches(4), life=LIFE)) < 4:
        scripts.now += 100
    return scripts.now - dead_since


@pytest.mark.parametrize(
    ("connected", "taken_over_after"),
    [
        pytest.param(False, 2400, id="killed: a beat is overdue"),
        pytest.param(True, LIFE, id="frozen: its heartbeat lapses"),
    ],
)
def test_who_has_lost_its_connections_and_misses_a_beat_is_dead(
    scripts: Scripts, connected: bool, taken_over_after: int
) -> None:
    _settle(scripts, ["w0", "w1"], _batches(4))

    with _connected(scripts, ["w1"] if connected else []):
        after = _beats_until_taken_over(scripts, dead_since=scripts.now)

    assert after == taken_over_after
    assert scripts.redis.exists(keys.worker("w1")) == connected
    assert scripts.redis.zscore(keys.workers, "w1") <= scripts.now
    assert scripts.redis.keys("p2g:missed:w1") == ([] if connected else [b"p2g:missed:w1"])
    assert scripts.redis.pttl("p2g:missed:w1") <= LIFE


def test_who_has_lost_its_subscription_and_still_beats_lives(scripts: Scripts) -> None:
    _settle(scripts, ["w0", "w1"], _batches(4))

    for _ in range(200):
        scripts.now += 100
        if scripts.now % STEP == 0:
            scripts.heartbeat("w1", _batches(4), life=LIFE)

        assert len(scripts.heartbeat("w0", _batches(4), life=LIFE)) == 2


def test_who_is_late_and_subscribes_again_lives(scripts: Scripts) -> None:
    # As all do after a failover of Redis: whoever beats first finds nobody else.
    _settle(scripts, ["w0", "w1"], _batches(4))
    scripts.now += LIFE - 2000
    scripts.heartbeat("w0", _batches(4), life=LIFE)
    scripts.now += 1499
    before = scripts.heartbeat("w0", _batches(4), life=LIFE)

    with _connected(scripts, ["w1"]):
        scripts.now += 1
        after = scripts.heartbeat("w0", _batches(4), life=LIFE)

    assert (len(before), len(after)) == (2, 2)
    assert not scripts.redis.exists("p2g:missed:w1")


def test_one_that_was_taken_for_dead_finds_its_place_again(scripts: Scripts) -> None:
    _settle(scripts, ["w0", "w1"], _batches(4))
    _beats_until_taken_over(scripts, dead_since=scripts.now)

    with _connected(scripts, ["w0", "w1"]):
        held = _settle(scripts, ["w0", "w1"], _batches(4))

    assert _shares(held) == [2, 2]
    _assert_each_has_one_owner(held, _batches(4))


def test_a_new_owner_has_a_higher_fence(scripts: Scripts) -> None:
    before = scripts.heartbeat("w0", ["b"], life=LIFE)
    renewed = scripts.heartbeat("w0", ["b"], life=LIFE)
    scripts.now += LIFE

    after = scripts.heartbeat("w1", ["b"], life=LIFE)
    back = scripts.heartbeat("w0", ["b"], life=LIFE)

    assert (before, renewed) == ({"b": 1}, {"b": 1})
    assert after == {"b": 2}
    assert back == {}


def test_one_that_takes_back_its_own_lapsed_batch_has_a_higher_fence(scripts: Scripts) -> None:
    scripts.heartbeat("w0", ["b"], life=LIFE)
    scripts.now += LIFE

    held = scripts.heartbeat("w0", ["b"], life=LIFE)

    assert held == {"b": 2}


@pytest.mark.parametrize(
    ("lists", "shares"),
    [
        pytest.param(["abc", "def"], ["abc", "def"], id="nothing in common"),
        pytest.param(["ab", "abc"], ["a", "bc"], id="one more"),
        pytest.param(["abcd", "cdef"], ["ab", "ef"], id="some in common"),
        pytest.param(["abc", "d", "d", "d"], ["abc", "", "", ""], id="one for three"),
        pytest.param(["", "ab"], ["", "ab"], id="one without any"),
    ],
)
def test_each_batch_is_shared_among_those_that_know_it(
    scripts: Scripts, lists: list[str], shares: list[str]
) -> None:
    # Given
    workers = [f"w{n}" for n in range(len(lists))]

    # When all have beaten until nobody's share can change any more
    held: dict[str, dict[str, int]] = {}
    for _ in range(4):
        scripts.now += STEP
        for worker, known in zip(workers, lists, strict=True):
            held[worker] = scripts.heartbeat(worker, known, life=LIFE)

    # Then
    _assert_each_has_one_owner(held, sorted(set("".join(lists))))
    for worker, known, share in zip(workers, lists, shares, strict=True):
        assert set(share) <= set(held[worker]) <= set(known)


def test_what_only_the_dead_knew_is_owned_by_nobody_and_the_rest_is_taken_over(
    scripts: Scripts,
) -> None:
    for _ in range(4):
        scripts.now += STEP
        scripts.heartbeat("w0", "abc", life=LIFE)
        scripts.heartbeat("w1", "cde", life=LIFE)

    scripts.now += LIFE
    held = scripts.heartbeat("w0", "abc", life=LIFE)

    assert sorted(held) == ["a", "b", "c"]


def test_one_of_the_version_before_is_taken_to_know_what_we_do(scripts: Scripts) -> None:
    for _ in range(4):
        scripts.now += STEP
        for worker in ("w0", "w1"):
            held = scripts.heartbeat(worker, "abcd", life=LIFE)
            scripts.redis.delete(f"p2g:knows:{worker}")

    assert len(held) == 2


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), count=st.integers(1, 9))
def test_no_batch_ever_has_two_holders_whoever_comes_and_goes(
    scripts: Scripts, data: st.DataObject, count: int
) -> None:
    scripts.redis.flushall()
    with _connected(scripts, _workers(4)):
        _come_and_go(scripts, data, count)


def _come_and_go(scripts: Scripts, data: st.DataObject, count: int) -> None:
    batches, workers = _batches(count), _workers(4)
    believes: dict[str, tuple[int, dict[str, int]]] = {}
    highest: dict[str, int] = {}
    for _ in range(data.draw(st.integers(1, 30))):
        scripts.now += data.draw(st.sampled_from([0, 1, STEP, LIFE - 1, LIFE, LIFE + 1]))
        worker = data.draw(st.sampled_from(workers))
        leaving = data.draw(st.sampled_from([False, False, False, True]))
        old = believes.get(worker, (0, {}))
        fences = scripts.heartbeat(worker, batches, life=LIFE, leaving=leaving)
        believes[worker] = (scripts.now + LIFE, fences)

        for batch, fence in fences.items():
            kept = old[0] > scripts.now and old[1].get(batch) == fence
            assert kept or fence > highest.get(batch, 0)
            highest[batch] = max(fence, highest.get(batch, 0))
        holders = [b for until, held in believes.values() if until > scripts.now for b in held]
        assert len(holders) == len(set(holders))

    final = _settle(scripts, workers, batches)
    assert max(map(len, final.values())) - min(map(len, final.values())) <= 1
    _assert_each_has_one_owner(final, batches)
