"""acquire.lua and release.lua: the limits of an account, as all workers together keep them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.scripts import START, Scripts

GUARD = 200


@pytest.fixture(autouse=True)
def _the_lease_is_ours(scripts: Scripts) -> None:
    scripts.heartbeat("w1", ["b"], life=10_000_000)


def _call(scripts: Scripts, grant: str, *, after: int = 0, **limits: Any) -> int:
    """A whole call that is sent `after` ms after its grant; returns the instant of sending."""
    assert scripts.acquire(grant, guard=GUARD, **limits)[0] == "granted"
    sent_at = scripts.now + after
    scripts.sent(grant, sent_at)
    scripts.release(grant)
    return sent_at


def test_a_fresh_token_is_granted(scripts: Scripts) -> None:
    assert scripts.acquire("g1") == ["granted", START]


@pytest.mark.parametrize(
    "stranger",
    [
        pytest.param({"worker": "w2"}, id="another worker"),
        pytest.param({"fence": 0}, id="an old fence"),
        pytest.param({"batch": "other"}, id="another batch"),
    ],
)
def test_only_the_holder_of_the_lease_is_granted_anything(
    scripts: Scripts, stranger: dict[str, Any]
) -> None:
    assert scripts.acquire("g1", **stranger) == ["lost"]


def test_a_lapsed_lease_is_lost(scripts: Scripts) -> None:
    scripts.now += 10_000_000

    assert scripts.acquire("g1") == ["lost"]


def test_a_lease_that_was_let_go_is_lost(scripts: Scripts) -> None:
    scripts.heartbeat("w1", ["b"], leaving=True)

    assert scripts.acquire("g1") == ["lost"]


def test_the_same_grant_is_given_again_after_a_lost_reply(scripts: Scripts) -> None:
    limits: dict[str, Any] = {"rate": 1, "cool_down": 3000, "most": 1}
    first = scripts.acquire("g1", **limits)
    scripts.now += 50

    again = scripts.acquire("g1", **limits)

    assert again == first
    assert scripts.redis.zcard("p2g:uses:a") == scripts.redis.zcard("p2g:grants:a") == 1


def test_the_cooldown_runs_from_the_instant_of_sending(scripts: Scripts) -> None:
    sent_at = _call(scripts, "g1", after=80, cool_down=3000)

    scripts.now = sent_at + 2000
    early = scripts.acquire("g2", cool_down=3000)
    scripts.now += early[1]
    ready = scripts.acquire("g2", cool_down=3000)

    assert early == ["wait", 1000]
    assert ready == ["granted", sent_at + 3000]


def test_a_grant_that_is_not_known_to_be_sent_counts_as_sent_at_its_last_instant(
    scripts: Scripts,
) -> None:
    scripts.acquire("g1", cool_down=3000, guard=GUARD)

    scripts.now += 3000 + GUARD - 1
    early = scripts.acquire("g2", cool_down=3000, guard=GUARD)
    scripts.now += 1
    ready = scripts.acquire("g2", cool_down=3000, guard=GUARD)

    assert early == ["wait", 1]
    assert ready[0] == "granted"


def test_a_wait_that_the_sending_may_shorten_is_not_made_longer_by_the_guard(
    scripts: Scripts,
) -> None:
    scripts.acquire("g1", cool_down=3000, guard=10_000)

    assert scripts.acquire("g2", cool_down=3000, guard=10_000) == ["wait", 3000]


def test_the_instant_of_sending_is_only_ever_lowered(scripts: Scripts) -> None:
    scripts.acquire("g1", cool_down=3000, guard=GUARD)

    scripts.sent("g1", START + GUARD + 500)
    scripts.sent("unknown", START)

    assert scripts.redis.zrange("p2g:uses:a", 0, -1, withscores=True) == [(b"g1", START + GUARD)]


def test_any_window_holds_no_more_starts_than_the_rate(scripts: Scripts) -> None:
    _call(scripts, "g1", rate=3)
    for n in (2, 3):
        scripts.now += 10_000
        _call(scripts, f"g{n}", rate=3)

    refused = scripts.acquire("g4", rate=3)
    scripts.now += refused[1]
    granted = scripts.acquire("g4", rate=3)

    assert refused == ["wait", 40_000]
    assert granted == ["granted", START + 60_000]


def test_no_more_calls_are_in_flight_than_may_be(scripts: Scripts) -> None:
    scripts.acquire("g1", most=2)
    scripts.acquire("g2", most=2)

    full = scripts.acquire("g3", most=2)
    scripts.release("g1")
    granted = scripts.acquire("g3", most=2)

    assert full == ["full"]
    assert granted[0] == "granted"


def test_a_call_whose_worker_has_vanished_is_in_flight_for_the_life_of_its_grant(
    scripts: Scripts,
) -> None:
    scripts.acquire("g1", most=1, life=60_000)

    scripts.now += 59_999
    full = scripts.acquire("g2", most=1)
    scripts.now += 1
    granted = scripts.acquire("g2", most=1)

    assert full == ["full"]
    assert granted[0] == "granted"


def test_a_call_is_in_flight_for_as_long_as_its_worker_says_so(scripts: Scripts) -> None:
    life = 20 * 3_600_000
    scripts.heartbeat("w1", ["b"], life=10 * life)
    scripts.acquire("g1", most=1, life=life)

    for _ in range(5):
        scripts.now += life - 1
        scripts.extend("g1", life=life)
        assert scripts.acquire("g2", most=1) == ["full"]

    scripts.release("g1")
    assert scripts.acquire("g2", most=1)[0] == "granted"


def test_a_call_that_has_ended_is_not_extended(scripts: Scripts) -> None:
    scripts.acquire("g1", most=1)
    scripts.release("g1")

    scripts.extend("g1", "never given")

    assert scripts.acquire("g2", most=1)[0] == "granted"


def test_a_grant_that_was_not_used_costs_nothing(scripts: Scripts) -> None:
    limits: dict[str, Any] = {"rate": 1, "cool_down": 3000, "most": 1}
    scripts.acquire("g1", **limits)

    scripts.release("g1", unused=True)

    assert scripts.acquire("g2", **limits) == ["granted", START]


def test_releasing_twice_frees_one_place(scripts: Scripts) -> None:
    for grant in ("g1", "g2"):
        scripts.acquire(grant, most=2)
    scripts.release("g1")
    scripts.release("g1")

    replies = [scripts.acquire(grant, most=2)[0] for grant in ("g3", "g4")]

    assert replies == ["granted", "full"]


def test_a_rest_holds_for_the_whole_account(scripts: Scripts) -> None:
    scripts.acquire("g1", token="t1")
    scripts.release("g1", token="t1", rest=7000)

    replies = [scripts.acquire("g2", token=token) for token in ("t1", "t2")]
    scripts.now += 7000
    rested = scripts.acquire("g2", token="t2")

    assert replies == [["wait", 7000]] * 2
    assert rested[0] == "granted"


def test_a_shorter_rest_does_not_end_a_longer_one(scripts: Scripts) -> None:
    scripts.release("g1", rest=7000)
    scripts.release("g2", rest=1000)

    assert scripts.acquire("g3") == ["wait", 7000]


def test_parking_is_for_the_token_alone(scripts: Scripts) -> None:
    scripts.acquire("g1", token="t1")
    scripts.release("g1", token="t1", park=5000)

    parked, other = scripts.acquire("g2", token="t1"), scripts.acquire("g3", token="t2")

    assert parked == ["parked", 5000, b"no points"]
    assert other[0] == "granted"


@pytest.mark.parametrize("recovers", ["by itself", "by a call that worked"])
def test_a_parked_token_is_used_again_when_it_is_well(scripts: Scripts, recovers: str) -> None:
    scripts.release("g1", park=5000)
    if recovers == "by itself":
        scripts.now += 5000
    else:
        scripts.release("g2", park=-1)

    assert scripts.acquire("g3")[0] == "granted"


@pytest.mark.parametrize(
    ("limits", "reply"),
    [
        pytest.param({"cool_down": 3000}, ["wait", 3000], id="cooldown"),
        pytest.param({"rate": 1}, ["wait", 60_000], id="rate"),
        pytest.param({"most": 1}, ["full"], id="in flight"),
    ],
)
def test_two_tokens_of_one_account_share_its_limits(
    scripts: Scripts, limits: dict[str, Any], reply: list[Any]
) -> None:
    scripts.acquire("g1", token="t1", **limits)
    scripts.sent("g1", scripts.now)

    replies = [
        scripts.acquire("g2", token="t2", **limits),
        scripts.acquire("g2", token="t3", account="another", **limits)[0],
    ]

    assert replies == [reply, "granted"]


def test_limits_outlive_the_worker_that_used_them_up(scripts: Scripts) -> None:
    scripts.acquire("g1", cool_down=3000, guard=GUARD)
    scripts.now += 100
    scripts.heartbeat("w1", ["b"], leaving=True)
    (fence,) = scripts.heartbeat("w2", ["b"]).values()

    reply = scripts.acquire("g2", worker="w2", fence=fence, cool_down=3000, guard=GUARD)

    assert reply == ["wait", 3000]


@pytest.mark.parametrize("guard", [200, 300_000])
def test_a_use_is_remembered_for_as_long_as_it_may_matter(scripts: Scripts, guard: int) -> None:
    scripts.acquire("g1", cool_down=3000, guard=guard, window=60_000)

    assert scripts.redis.pttl("p2g:uses:a") > guard + 60_000


def test_strikes_are_kept_until_the_token_is_well(scripts: Scripts) -> None:
    scripts.release("g1", strikes=1)
    scripts.release("g2", strikes=2, rest=1000)
    scripts.release("g3")
    struck = scripts.redis.hget("p2g:token:t", "strikes")

    scripts.release("g4", park=-1)

    assert struck == b"2"
    assert scripts.redis.hget("p2g:token:t", "strikes") is None


def test_a_model_that_a_token_may_not_use_is_remembered_for_a_while(scripts: Scripts) -> None:
    scripts.release("g1", unfit_model="Model", unfit=3_600_000)

    unfit = scripts.redis.zrange("p2g:unfit:t", 0, -1, withscores=True)

    assert unfit == [(b"Model", START + 3_600_000)]
    assert 0 < scripts.redis.pttl("p2g:unfit:t") <= 3_600_000


def test_a_short_memory_of_one_model_does_not_cut_the_long_one_of_another(
    scripts: Scripts,
) -> None:
    scripts.release("g1", unfit_model="Long", unfit=3_600_000)

    scripts.release("g2", unfit_model="Short", unfit=1000)
    scripts.now += 3_000_000

    assert scripts.redis.zscore("p2g:unfit:t", "Long") > scripts.now


def test_nothing_without_an_end_is_kept_of_a_call(scripts: Scripts) -> None:
    before = scripts.lasting_keys()

    _call(scripts, "g1", cool_down=3000)

    assert scripts.lasting_keys() == before


@pytest.mark.parametrize(
    "given_away", [pytest.param(True, id="another worker's"), pytest.param(False, id="cancelled")]
)
def test_no_call_is_granted_for_a_job_that_is_gone(scripts: Scripts, given_away: bool) -> None:
    scripts.heartbeat("w1", ["b"])
    scripts.enqueue("j1")
    (given,) = scripts.dispatch(1, "w1")
    if given_away:
        scripts.requeue(given)
    else:
        scripts.cancel("j1")

    assert scripts.acquire("g1", job="j1", epoch=1) == ["gone"]
