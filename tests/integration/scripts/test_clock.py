"""clock.lua: a step of the server's clock is taken out once, and never where there was none."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis

from contract import scripts
from contract.calls.clock import CheckClock
from contract.calls.tokens import Acquire
from tests.integration.scripts.conftest import shared_redis  # noqa: F401  # a fixture
from tests.support.keys import keys
from tests.support.scripts import Scripts


class Server:
    """A Redis whose clock can be set, and the scripts as callers that know the time."""

    def __init__(self, redis: Redis) -> None:
        self.redis: Any = redis
        self._clock = redis.register_script(scripts.source("clock", keys.prefix))

    def set_clock(self, ms: int) -> None:
        """To the scripts, which add `offset` to TIME, this is what a step of TIME is."""
        self.redis.hincrby(keys.clock, "offset", ms)

    def raw(self) -> int:
        seconds, micros = self.redis.time()
        return int(seconds * 1000 + micros // 1000)

    def look(self, now: str = "0", step: int = 0, steps: int = 0) -> list[Any]:
        reply: list[Any] = self._clock(args=[now, *CheckClock(step / 1000, steps).arguments()])
        return [*reply[:2], reply[2].decode(), *reply[3:]]


@pytest.fixture
def server(scripts: Scripts) -> Server:
    return Server(scripts.redis)


def _known(ms: int) -> str:
    return f"{ms - 1}-{ms + 1}"


def test_the_first_to_report_a_step_takes_it_out_for_all(server: Server) -> None:
    before = server.raw()
    server.set_clock(600_000)

    first = server.look(_known(server.raw()), 600_000, 0)
    second = server.look(_known(server.raw()), 600_000, 0)
    now, steps, outcome = server.look(_known(server.raw()))

    assert first[1:] == [1, "taken", 600_000]
    assert second[1:] == [1, "known"]
    assert (steps, outcome) == (1, "none")
    assert 0 <= now - before < 60_000


@pytest.mark.parametrize("step", [600_000, -600_000])
def test_time_goes_on_for_who_knows_it_before_the_step_is_taken_out(
    server: Server, scripts: Scripts, step: int
) -> None:
    server.set_clock(step)
    now = server.raw()
    acquire = scripts.redis.register_script(_SOURCE)

    told = acquire(args=[_known(now)])

    assert now - 1 <= told <= now + 1


def test_a_process_that_slept_is_told_that_time_has_passed(server: Server) -> None:
    asleep = _known(server.raw() - 8 * 3_600_000)
    server.look(_known(server.raw()))

    reply = server.look(asleep, 8 * 3_600_000, 0)

    assert reply[1:] == [0, "passed"]
    assert server.redis.hget(keys.clock, "offset") is None


def test_who_has_just_begun_knows_that_time_does_not_go_back(server: Server) -> None:
    now = server.raw()
    server.look(_known(now))
    server.set_clock(-600_000)

    told, steps, outcome, step = server.look()

    assert (steps, outcome) == (1, "taken")
    assert -600_000 <= step <= -590_000
    assert now - 1 <= told <= server.raw()


def test_what_one_has_seen_wrongly_is_no_evidence(server: Server) -> None:
    """Before anyone has noticed, the time is entered as its clock has it who looks."""
    now = server.raw()
    server.set_clock(600_000)
    server.look(_known(now))

    assert server.look(_known(now), 600_000, 0)[2] == "taken"


@pytest.mark.parametrize("step", [-600_000, 121_000], ids=["back", "ahead"])
def test_a_cooldown_is_as_long_as_ever(scripts: Scripts, step: int) -> None:
    server = Server(scripts.redis)
    scripts.now = server.raw()
    scripts.heartbeat("w1", ["b"], life=3_600_000)
    scripts.acquire("g1", cool_down=3000)
    scripts.sent("g1", scripts.now)
    server.set_clock(step)
    ask = scripts.redis.register_script(_ACQUIRE)
    words = _SECOND_CALL.arguments()

    early = ask(args=[_known(scripts.now + 2000), *words])
    due = ask(args=[_known(scripts.now + 3002), *words])

    assert early[0] == b"wait"
    assert due[0] == b"granted"


_SECOND_CALL = Acquire(
    worker="w1",
    batch="b",
    fence=1,
    token="t",
    account="a",
    grant="g2",
    rate_limit=100,
    window=60.0,
    cool_down=3.0,
    max_in_flight=100,
    guard=0.2,
    life=60.0,
    job="j",
    epoch=1,
)
_ACQUIRE = scripts.source("acquire", keys.prefix)
_SOURCE = (
    scripts.source("gateway_heartbeat", keys.prefix)
    .replace("return 1", "return clock(ARGV[1])")
    .replace("redis.call('ZADD'", "local _ = ({})[1] and redis.call('ZADD'")
    .replace("redis.call('XTRIM'", "local _ = ({})[1] and redis.call('XTRIM'")
)
