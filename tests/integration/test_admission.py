"""Who may join the queue: a request is refused before it costs anything, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from contract.messages import Failed, FailureKind, TokenCounts
from tests.support.deployment import eventually
from tests.support.gateway_alone import CHAT, Rig, asking, rig
from tests.support.keys import keys
from tests.support.scripted_worker import Answering, answering_all, words

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024
HURRY = {"x-queue-timeout": "1"}

CONFIG = """
maxStored = 4
accessTokens = [
    "sk-greedy", "sk-small",
    { key = "sk-two", maxConcurrent = 2 },
    { key = "sk-two-a-minute", rateLimit = 2 },
    { key = "sk-four", maxConcurrent = 4 },
]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("admission"), CONFIG, key=None) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(own: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a worker that has a free key."""
    await _seen(own, TokenCounts(free=1), capacity=0.1)
    async with own.gateway.http("sk-small") as client:
        yield client


async def _queued(own: Rig, jobs: int) -> None:
    async def so_many() -> bool:
        return await own.redis.hget(keys.totals, "waiting") == str(jobs).encode()

    await eventually(so_many, f"{jobs} jobs in the queue")


async def _seen(own: Rig, tokens: TokenCounts, *, capacity: float) -> None:
    """The gateway knows that these are the worker's tokens."""
    await own.worker.beat(tokens, capacity=capacity)

    async def seen() -> bool:
        states = ("free", "cooling", "busy")
        told = [await own.metric("poe2gpt_tokens", {"state": state}) for state in states]
        return told == [getattr(tokens, state) for state in states]

    await eventually(seen, "a look at the worker")


async def _ever_queued(own: Rig) -> int:
    names = [name async for name in own.redis.scan_iter(keys.client("*"))]
    return sum([int(await own.redis.hget(name, "seq") or 0) for name in names])


async def _sent(own: Rig, answering: Answering) -> None:
    """The worker has told Redis that a call leaves for Poe."""
    await own.redis.hset(keys.job(answering.job.id), "call", "sent")


async def _overdue(own: Rig, job: str) -> None:
    """The request should have begun a while ago, and its gateway has had the time to say so."""
    deadline = float(await own.redis.hget(keys.job(job), "deadline"))

    async def past() -> bool:
        seconds, _ = await own.redis.time()
        return bool(seconds * 1000 > deadline + 2000)

    await eventually(past, "the deadline")


def _code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# Bytes.


async def test_one_client_that_fills_its_part_of_redis_leaves_room_for_the_others(
    own: Rig, http: httpx.AsyncClient
) -> None:
    async with own.gateway.http("sk-greedy") as greedy:
        flood = {asyncio.create_task(greedy.post(CHAT, json=asking("x" * MIB))) for _ in range(8)}
        refused: list[httpx.Response] = []
        while len(refused) < 5:
            done, flood = await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
            refused += [task.result() for task in done]
        await _queued(own, 3)
        async with answering_all(own.worker, words):
            other = await http.post(CHAT, json=asking())
            accepted = await asyncio.gather(*flood)
            after = await greedy.post(CHAT, json=asking("x" * MIB))

    assert {_code(answer) for answer in refused} == {(429, "queue_full")}
    assert "maxStored" in refused[0].text
    assert int(refused[0].headers["retry-after"]) >= 1
    assert [answer.status_code for answer in (other, *accepted, after)] == [200] * 5
    assert await own.redis.hget(keys.totals, "bytes") == b"0"


async def test_what_could_never_be_stored_is_a_413(http: httpx.AsyncClient) -> None:
    answer = await http.post(CHAT, json=asking("x" * 5 * MIB))

    assert _code(answer) == (413, "request_too_large")
    assert "4 MiB" in answer.text


async def test_a_client_may_store_a_part_of_what_redis_may_take(tmp_path: Path) -> None:
    async with rig(tmp_path) as alone, alone.gateway.http() as http:
        await alone.redis.config_set("maxmemory", 16 * MIB)

        async def refused() -> httpx.Response | None:
            asked = asyncio.create_task(http.post(CHAT, json=asking("x" * 3 * MIB)))
            done, _ = await asyncio.wait({asked}, timeout=0.5)
            if not done:
                asked.cancel()
                await asyncio.gather(asked, return_exceptions=True)
            return asked.result() if done else None

        answer = await eventually(refused, "a look at Redis")

    assert _code(answer) == (413, "request_too_large")
    assert "2 MiB" in answer.text


# Choices.


@pytest.mark.parametrize(
    "key",
    [pytest.param("sk-two", id="at once"), pytest.param("sk-two-a-minute", id="in a minute")],
)
async def test_more_choices_than_may_ever_be_had_at_once_are_a_400(own: Rig, key: str) -> None:
    before = await _ever_queued(own)

    async with own.gateway.http(key) as http:
        answer = await http.post(CHAT, json=asking(n=3))

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "n"
    assert "no more than 2 at once" in answer.text
    assert await _ever_queued(own) == before


async def test_a_request_whose_choices_do_not_all_fit_costs_nothing(own: Rig) -> None:
    async with own.gateway.http("sk-four") as http:
        first = asyncio.create_task(http.post(CHAT, json=asking(n=2)))
        await _queued(own, 2)
        before = await _ever_queued(own)

        refused = await http.post(CHAT, json=asking(n=3))
        after = await _ever_queued(own)
        async with answering_all(own.worker, words):
            answer = await first

    assert _code(refused) == (429, "rate_limit_exceeded")
    assert after == before
    assert len(answer.json()["choices"]) == 2


async def test_the_choices_of_what_was_paid_for_wait_for_each_other(
    own: Rig, http: httpx.AsyncClient
) -> None:
    await _seen(own, TokenCounts(free=2), capacity=0.1)
    asked = asyncio.create_task(http.post(CHAT, json=asking(n=2), headers=HURRY))
    first = await own.worker.take()
    await _sent(own, first)
    await _overdue(own, first.job.id)

    await words(first)
    await words(await own.worker.take())
    answer = await asked

    assert answer.status_code == 200
    assert len(answer.json()["choices"]) == 2


# Time.


async def test_who_is_in_a_hurry_is_served_while_a_key_is_free(
    own: Rig, http: httpx.AsyncClient
) -> None:
    async with answering_all(own.worker, words):
        answers = [await http.post(CHAT, json=asking(), headers=HURRY) for _ in range(10)]

    assert [answer.status_code for answer in answers] == [200] * 10


async def test_who_would_wait_for_too_long_is_never_queued(
    own: Rig, http: httpx.AsyncClient
) -> None:
    headers = {**HURRY, "idempotency-key": "the same"}
    before = await _ever_queued(own)
    await _seen(own, TokenCounts(cooling=1), capacity=0.1)
    refused = [await http.post(CHAT, json=asking(), headers=headers) for _ in range(2)]
    after = await _ever_queued(own)

    await _seen(own, TokenCounts(free=1), capacity=0.1)
    async with answering_all(own.worker, words):
        answer = await http.post(CHAT, json=asking(), headers=headers)

    assert [_code(each) for each in refused] == [(429, "queue_timeout")] * 2
    assert after == before
    assert answer.status_code == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_nobody_is_refused_what_may_have_been_paid_for(
    own: Rig, http: httpx.AsyncClient, stream: bool
) -> None:
    asked = asyncio.create_task(http.post(CHAT, json=asking(stream=stream), headers=HURRY))
    answering = await own.worker.take()
    await _sent(own, answering)
    await _overdue(own, answering.job.id)

    await words(answering, "paid for")
    answer = await asked

    assert answer.status_code == 200
    assert "paid" in answer.text
    assert "error" not in answer.text


async def test_what_a_worker_could_not_send_in_time_is_refused_and_never_sent(
    own: Rig, http: httpx.AsyncClient
) -> None:
    asked = asyncio.create_task(http.post(CHAT, json=asking(), headers=HURRY))
    answering = await own.worker.take()

    assert await own.worker.told_to_stop() == answering.job.id
    answer = await asked
    await answering.say(Failed(FailureKind.CANCELLED, "The client has left."))

    assert _code(answer) == (429, "queue_timeout")


async def test_a_key_that_goes_bad_refuses_nobody_what_may_have_been_paid_for(
    own: Rig, http: httpx.AsyncClient
) -> None:
    paid = asyncio.create_task(http.post(CHAT, json=asking("paid")))
    answering = await own.worker.take()
    await _sent(own, answering)
    waiting = asyncio.create_task(http.post(CHAT, json=asking("waiting")))
    await _queued(own, 1)

    await own.worker.beat(TokenCounts(parked=1))
    refused = await waiting
    await words(answering)
    answer = await paid

    assert refused.status_code == 402
    assert answer.status_code == 200
