"""Whom a fault is blamed on: a bot's own words, and a dear bot, take no key from anybody else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from contract.config import ModelSettings
from contract.messages import FailureKind, Finished
from simulated_poe import Settings, SimulatedPoe
from tests.support.deployment import RedisServer, eventually
from tests.support.keys import keys
from tests.support.worker_alone import Asking, failure, said, token, tokens_of, working


@pytest.fixture
async def poe() -> AsyncIterator[SimulatedPoe]:
    async with SimulatedPoe() as poe:
        yield poe


@pytest.fixture
def asking(redis: Redis) -> Asking:
    return Asking(redis)


BOTS = {"script": ModelSettings(protocol="bot")}

FOUR = [token(f"sim-{n}") for n in range(4)]


def says(text: str, *, allow_retry: bool = False, error_type: str = "") -> str:
    """What makes the bot Script end with such an `error` event."""
    data = {"text": text, "allow_retry": allow_retry}
    return json.dumps([{"event": "error", "data": data | {"error_type": error_type or None}}])


def refuses(status: int, text: str) -> str:
    """What makes the bot Script refuse with a status."""
    return json.dumps([{"status": status, "body": {"error": {"message": text}}}])


async def _held_against(redis: Redis) -> dict[str, dict[bytes, bytes]]:
    """What everybody knows of tokens and accounts, but for those of which there is nothing."""
    found = [key async for key in redis.scan_iter(keys.token("*"))]
    return {key.decode(): await redis.hgetall(key) for key in found}


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(says("insufficient funds"), id="no points"),
        pytest.param(says("x", error_type="insufficient_fund"), id="no points, by its type"),
        pytest.param(says("Rate limit exceeded", allow_retry=True), id="rate limit"),
        pytest.param(says("Invalid API key"), id="bad key"),
        pytest.param(says("You need a subscription"), id="no subscription"),
        pytest.param(refuses(200, "You have used up your points."), id="no points, behind a 200"),
        pytest.param(refuses(402, "This bot needs more points."), id="too dear"),
        pytest.param(refuses(401, "Unauthorized"), id="a bot that refuses the key"),
    ],
)
async def test_what_one_bot_says_of_a_key_holds_for_no_other_bot(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking, redis: Redis, script: str
) -> None:
    async with working(redis_server.url, poe.url, *FOUR, models=BOTS) as worker:
        refused = await asking.answer(await asking.ask("Script", script))
        others = [await asking.answer(await asking.ask("Echo", f"{n}")) for n in range(8)]
        counts = worker.pool.counts(0.0)

    assert failure(refused)
    assert [said(events) for events in others] == [f"{n}" for n in range(8)]
    assert {call for events in others for call in tokens_of(events)} == {t.secret for t in FOUR}
    assert (counts.parked, counts.disabled) == (0, 0)
    assert await _held_against(redis) == {}


@pytest.mark.parametrize("text", ["insufficient funds", "Rate limit exceeded", "Invalid API key"])
async def test_a_bots_word_against_keys_is_tried_on_three_of_them(
    redis_server: RedisServer, asking: Asking, poe: SimulatedPoe, text: str
) -> None:
    tokens = [token(f"sim-{n}") for n in range(9)]

    async with working(redis_server.url, poe.url, *tokens, models=BOTS):
        refused = await asking.answer(await asking.ask("Script", says(text)))

    assert failure(refused)
    assert len(poe.record.calls) == 3


@pytest.mark.parametrize("told", ["http", "event"])
async def test_a_key_is_parked_for_everything_when_its_balance_is_spent(
    redis_server: RedisServer, asking: Asking, redis: Redis, told: str
) -> None:
    settings = Settings(bot_errors=told)  # type: ignore[arg-type]
    async with (
        SimulatedPoe(settings) as poe,
        working(redis_server.url, poe.url, token("sim-broke"), token("sim-good")),
    ):
        for _ in range(3):
            assert said(await asking.answer(await asking.ask("Echo"))) == "hello"
        state = await eventually(
            lambda: redis.hget(keys.token("id-sim-broke"), "state"), "the parking"
        )

    assert state == b"no points"


async def test_a_bots_words_reach_its_own_client_only(
    redis_server: RedisServer, asking: Asking, poe: SimulatedPoe
) -> None:
    async with working(redis_server.url, poe.url, *FOUR, models=BOTS):
        script = says("insufficient funds")
        for _ in range(3):
            refused = failure(await asking.answer(await asking.ask("Script", script)))
            assert refused.kind is FailureKind.NO_POINTS
        answer = await asking.answer(await asking.ask("Echo"))

    assert answer[-1] == Finished()
