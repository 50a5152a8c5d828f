"""Requests that their clients send again, without an Idempotency-Key: each is answered once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from anthropic import AsyncAnthropic
from openai import AsyncOpenAI

from contract.messages import Failed, FailureKind, Finished, Text
from tests.support.deployment import Gateway, eventually
from tests.support.gateway_alone import CHAT, Rig, another_gateway, asking, rig
from tests.support.keys import keys
from tests.support.scripted_worker import Answering, words

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
statusHold = 0
resendHold = 60
[[accessTokens]]
key = "sk-test-canary-access-token"
name = "ann"
[[accessTokens]]
key = "sk-bob"
name = "bob"
"""

FIRST = {"x-stainless-retry-count": "0"}
AGAIN = {"x-stainless-retry-count": "1"}
SESSION = {"x-claude-code-session-id": "s-1"} | FIRST


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("resends"), CONFIG, key=None) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other(shared: Rig, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    directory = tmp_path_factory.mktemp("other")
    async with another_gateway(directory, shared.server.url, CONFIG, probe="/readyz") as gateway:
        yield gateway


def post(
    gateway: Gateway,
    text: str,
    headers: dict[str, str],
    path: str = CHAT,
    key: str = "sk-test-canary-access-token",
    **more: Any,
) -> asyncio.Task[httpx.Response]:
    """Ask in a task; it is cancelled to leave."""

    async def ask() -> httpx.Response:
        body = asking(text, **more)
        if path == "/v1/responses":
            body = {"model": "Test", "input": text, **more}
        if path == "/v1/messages":
            body["max_tokens"] = 100
        async with gateway.http(key=key) as http:
            return await http.post(path, json=body, headers=headers)

    return asyncio.create_task(ask())


async def leave(*asked: asyncio.Task[httpx.Response]) -> None:
    for task in asked:
        task.cancel()
    await asyncio.gather(*asked, return_exceptions=True)


async def dispatched(shared: Rig) -> int:
    return int(await shared.redis.hget(keys.totals, "dispatched") or 0)


async def missed(shared: Rig, answering: Answering) -> None:
    """Wait until nobody reads this answer any longer."""
    await eventually(
        lambda: shared.redis.zscore(keys.abandoned, answering.job.id), "the client to be missed"
    )


async def read_by(shared: Rig, answering: Answering, readers: int) -> None:
    async def are_there() -> bool:
        return bool(await shared.redis.scard(keys.readers(answering.job.id)) == readers)

    await eventually(are_there, f"{readers} readers")


def said(response: httpx.Response) -> str:
    return str(response.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize("path", [CHAT, "/v1/responses", "/v1/messages"])
@pytest.mark.parametrize("again", [AGAIN, SESSION], ids=["retry", "session"])
async def test_a_resend_joins_the_running_answer_of_a_client_that_left(
    shared: Rig, other: Gateway, again: dict[str, str], path: str
) -> None:
    before = await dispatched(shared)
    text = f"left {again} {path}"
    lost = post(shared.gateway, text, FIRST if again is AGAIN else again, path, stream=True)
    answering = await shared.worker.take()
    await answering.begin()
    await answering.say(Text("one "))
    await leave(lost)
    await missed(shared, answering)

    resent = post(other, text, again, path)
    await read_by(shared, answering, 1)
    assert await answering.say(Text("two")) == 0
    await answering.say(Finished())

    assert "one two" in (await resent).text
    assert await dispatched(shared) == before + 1


async def test_a_resend_joins_while_the_loss_of_the_first_is_not_noticed(
    shared: Rig, other: Gateway
) -> None:
    first = post(shared.gateway, "unnoticed", FIRST)
    answering = await shared.worker.take()

    resent = post(other, "unnoticed", AGAIN, stream=True)
    await read_by(shared, answering, 2)
    await words(answering)

    assert said(await first) == "one two three "
    assert (await first).json()["id"] in (await resent).text
    assert "three" in (await resent).text


async def test_a_resend_joins_a_request_that_waits(shared: Rig, other: Gateway) -> None:
    before = await dispatched(shared)
    lost = post(shared.gateway, "waits", FIRST)
    await eventually(lambda: _waiting(shared, 1), "the request to wait")
    await leave(lost)

    resent = post(other, "waits", AGAIN)
    await shared.worker.take(words)

    assert said(await resent) == "one two three "
    assert await dispatched(shared) == before + 1


async def _waiting(shared: Rig, count: int) -> bool:
    return bool(int(await shared.redis.hget(keys.totals, "waiting") or 0) == count)


@pytest.mark.parametrize("again", [AGAIN, SESSION], ids=["retry", "session"])
async def test_a_resend_gets_the_answer_that_ended_after_its_client_left(
    shared: Rig, other: Gateway, again: dict[str, str]
) -> None:
    text = f"ended {again}"
    lost = post(shared.gateway, text, FIRST if again is AGAIN else again)
    answering = await shared.worker.take()
    await leave(lost)
    await missed(shared, answering)
    await words(answering)

    assert said(await post(other, text, again)) == "one two three "


async def test_two_first_tries_stay_two_and_so_do_their_resends(
    shared: Rig, other: Gateway
) -> None:
    lost = [post(shared.gateway, "twins", FIRST) for _ in range(2)]
    answering = [await shared.worker.take() for _ in lost]
    await leave(*lost)
    for each in answering:
        await missed(shared, each)

    resent = [post(gateway, "twins", AGAIN) for gateway in (shared.gateway, other)]
    for number, each in enumerate(answering):
        await read_by(shared, each, 1)
        await words(each, f"answer {number}")

    answers = sorted(said(each) for each in await asyncio.gather(*resent))
    assert answers == ["answer 0 ", "answer 1 "]


async def test_the_retry_of_a_refused_request_joins_no_other_request(shared: Rig) -> None:
    async def refuse(answering: Answering) -> None:
        await answering.say(Failed(FailureKind.OVERLOADED, "later"))

    refused = post(shared.gateway, "refused twin", FIRST)
    await shared.worker.take(refuse)
    assert (await refused).status_code == 503
    running = post(shared.gateway, "refused twin", FIRST)
    answering = await shared.worker.take()

    retried = post(shared.gateway, "refused twin", AGAIN)
    await shared.worker.take(words)
    assert said(await retried) == "one two three "

    # The next one is of the request that runs.
    resent = post(shared.gateway, "refused twin", AGAIN)
    await read_by(shared, answering, 2)
    await words(answering, "another")
    assert said(await resent) == said(await running) == "another "


async def test_a_session_that_asks_again_after_its_answer_is_asked_anew(shared: Rig) -> None:
    asked = post(shared.gateway, "twice", SESSION)
    await shared.worker.take(words)
    first = await asked

    asked = post(shared.gateway, "twice", SESSION)
    await shared.worker.take(words)

    assert (await asked).json()["id"] != first.json()["id"]


async def test_a_retry_of_an_answer_that_was_sent_into_a_dead_connection_gets_it(
    shared: Rig,
) -> None:
    asked = post(shared.gateway, "dead connection", FIRST)
    await shared.worker.take(words)
    first = await asked

    again = await post(shared.gateway, "dead connection", AGAIN)

    assert again.json()["id"] == first.json()["id"]


@pytest.mark.parametrize(
    ("first", "again", "key", "more"),
    [
        pytest.param(
            SESSION, SESSION | {"x-claude-code-session-id": "s-2"}, None, {}, id="session"
        ),
        pytest.param(SESSION, SESSION | {"x-claude-code-agent-id": "a"}, None, {}, id="agent"),
        pytest.param(FIRST, AGAIN, "sk-bob", {}, id="access token"),
        pytest.param(FIRST, AGAIN, None, {"temperature": 1}, id="body"),
        pytest.param(FIRST, FIRST, None, {}, id="first try"),
        pytest.param(FIRST, {}, None, {}, id="no headers"),
        pytest.param({}, AGAIN, None, {}, id="no headers at first"),
    ],
)
async def test_another_request_does_not_join(
    shared: Rig,
    first: dict[str, str],
    again: dict[str, str],
    key: str | None,
    more: dict[str, Any],
) -> None:
    text = f"another {first} {again} {key} {more}"
    one = post(shared.gateway, text, first)
    answering = await shared.worker.take()

    two = post(shared.gateway, text, again, key=key or "sk-test-canary-access-token", **more)
    await shared.worker.take(words)
    await words(answering, "mine")

    assert said(await one) == "mine "
    assert said(await two) == "one two three "


async def test_the_resend_of_several_choices_gets_them_all(shared: Rig, other: Gateway) -> None:
    lost = post(shared.gateway, "choices", FIRST, n=2)
    first, second = [await shared.worker.take() for _ in range(2)]
    await words(first, "ended before")
    await second.begin()
    await leave(lost)
    await missed(shared, second)

    resent = post(other, "choices", AGAIN, n=2, stream=True)
    await read_by(shared, second, 1)
    await second.say(Text("behind"), Finished())

    assert {"before", "behind"} <= set((await resent).text.replace('"', " ").split())


async def test_who_can_send_nothing_again_is_cancelled_at_once(shared: Rig) -> None:
    lost = post(shared.gateway, "leaves for good", {})
    answering = await shared.worker.take()

    await leave(lost)

    assert await shared.worker.told_to_stop() == answering.job.id


async def test_a_resent_answer_has_no_event_ids_and_its_wait_counts_once(shared: Rig) -> None:
    waits = "poe2gpt_queue_wait_seconds_count"
    before = await shared.metric(waits)
    first = post(shared.gateway, "counted", FIRST, stream=True)
    answering = await shared.worker.take()
    resent = post(shared.gateway, "counted", AGAIN, stream=True)
    await read_by(shared, answering, 2)
    await words(answering)

    assert "event_id" not in (await first).text + (await resent).text
    assert await shared.metric(waits) == before + 1


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
async def test_what_an_sdk_sends_again_by_itself_is_paid_for_once(shared: Rig, sdk: str) -> None:
    key, before = "sk-test-canary-access-token", await dispatched(shared)
    hello: list[Any] = [{"role": "user", "content": f"impatient {sdk}"}]
    impatient: dict[str, Any] = {"api_key": key, "timeout": 1.0, "max_retries": 5}

    async def ask() -> str | None:
        if sdk == "openai":
            async with AsyncOpenAI(base_url=f"{shared.gateway.url}/v1", **impatient) as openai:
                answer = await openai.chat.completions.create(model="Test", messages=hello)
                return answer.choices[0].message.content
        async with AsyncAnthropic(base_url=shared.gateway.url, **impatient) as anthropic:
            message = await anthropic.messages.create(model="Test", messages=hello, max_tokens=99)
            return str(message.to_dict()["content"][0]["text"])

    asked = asyncio.create_task(ask())
    answering = await shared.worker.take()
    await missed(shared, answering)
    await read_by(shared, answering, 1)
    await words(answering)

    assert await asked == "one two three "
    assert await dispatched(shared) == before + 1
