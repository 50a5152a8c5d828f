"""Answers that belong to an Idempotency-Key: their clients come back, to any gateway."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from contract.messages import Failed, FailureKind, Finished, Text
from tests.support.deployment import Gateway, eventually
from tests.support.gateway_alone import CHAT, Rig, another_gateway, asking, rig
from tests.support.keys import keys
from tests.support.scripted_worker import Answering, words

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = """
statusHold = 0
resumeGrace = 60
[[accessTokens]]
key = "sk-test-canary-access-token"
name = "ann"
[[accessTokens]]
key = "sk-bob"
name = "bob"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    directory = tmp_path_factory.mktemp("resuming")
    async with rig(directory, CONFIG, key=None) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other(shared: Rig, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    directory = tmp_path_factory.mktemp("other")
    async with another_gateway(directory, shared.server.url, probe="/readyz") as gateway:
        yield gateway


def keyed(key: str, last: str = "") -> dict[str, str]:
    return {"idempotency-key": key} | ({"last-event-id": last} if last else {})


async def streamed(
    gateway: Gateway, key: str, text: str = "hello", last: str = "", **more: Any
) -> list[tuple[str, dict[str, Any]]]:
    """All chunks of a stream, each with the id that its line had."""
    async with (
        gateway.http() as http,
        http.stream(
            "POST", CHAT, json=asking(text, stream=True, **more), headers=keyed(key, last)
        ) as response,
    ):
        assert response.status_code == 200
        body = (await response.aread()).decode()
    assert body.endswith("data: [DONE]\n\n")
    return chunks_of(body)


def chunks_of(body: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for event in body.split("\n\n"):
        lines = event.split("\n")
        data = [line[6:] for line in lines if line.startswith("data: {")]
        ids = [line[4:] for line in lines if line.startswith("id: ")]
        found += [(ids[0] if ids else "", json.loads(each)) for each in data]
    return found


def said(chunks: list[tuple[str, dict[str, Any]]]) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for _, chunk in chunks)


async def test_the_same_request_gets_the_same_answer_and_costs_one_call(
    shared: Rig, other: Gateway
) -> None:
    async with shared.gateway.http() as http:
        first = asyncio.create_task(http.post(CHAT, json=asking(), headers=keyed("same")))
        answering = await shared.worker.take()
        await words(answering)

        whole = (await first).json()

    again = await streamed(other, "same")
    assert said(again) == whole["choices"][0]["message"]["content"] == "one two three "
    assert {chunk["id"] for _, chunk in again} == {whole["id"]}
    assert {chunk["created"] for _, chunk in again} == {whole["created"]}
    assert await shared.redis.hget(keys.totals, "waiting") == b"0"


async def test_a_hundred_equal_requests_at_once_are_one_call(shared: Rig, other: Gateway) -> None:
    before = int(await shared.redis.hget(keys.totals, "dispatched") or 0)
    asked = [
        asyncio.create_task(streamed(shared.gateway if number % 2 else other, "hundred"))
        for number in range(100)
    ]
    answering = await shared.worker.take()
    await answering.begin()

    async def all_read() -> bool:
        return bool(await shared.redis.scard(keys.readers(answering.job.id)) == 100)

    await eventually(all_read, "a hundred readers")
    for word in ("one ", "two ", "three "):
        await answering.say(Text(word))
    await answering.say(Finished())

    assert Counter([said(chunks) for chunks in await asyncio.gather(*asked)]) == {
        "one two three ": 100
    }
    assert int(await shared.redis.hget(keys.totals, "dispatched")) == before + 1


async def test_a_client_that_was_cut_off_goes_on_where_it_was(shared: Rig, other: Gateway) -> None:
    async with shared.gateway.http() as http:
        request = http.stream(
            "POST", CHAT, json=asking(stream=True), headers=keyed("cut", last="0")
        )
        async with request as response:
            answering = await shared.worker.take()
            await answering.begin()
            await answering.say(Text("one "))
            await answering.say(Text("two "))
            had = ""
            async for piece in response.aiter_text():
                had += piece
                if "two" in had:
                    break
    before = chunks_of(had)
    last = before[-1][0]
    assert last == before[-1][1]["event_id"] == f"{answering.record().epoch}-3"

    going_on = asyncio.create_task(streamed(other, "cut", last=last))
    await eventually(lambda: shared.redis.smembers(keys.readers(answering.job.id)), "a reader")
    answering._seq -= 1
    await answering.say(Text("three"))
    await answering.say(Finished())

    assert said(before) + said(await going_on) == "one two three"


async def test_an_id_is_in_every_chunk_and_in_lines_only_for_who_asked(shared: Rig) -> None:
    asked = asyncio.create_task(streamed(shared.gateway, "ids"))
    await shared.worker.take(words)
    plain = await asked

    lined = await streamed(shared.gateway, "ids", last="0")

    assert all(chunk["event_id"] for _, chunk in plain)
    assert all(line == "" for line, _ in plain)
    assert all(line == chunk["event_id"] for line, chunk in lined)
    assert [chunk for _, chunk in lined] == [chunk for _, chunk in plain]


async def test_an_answer_without_a_key_has_no_ids(shared: Rig) -> None:
    async with shared.gateway.http() as http:
        asked = asyncio.create_task(http.post(CHAT, json=asking(stream=True)))
        await shared.worker.take(words)

        assert "event_id" not in (await asked).text


async def test_an_answer_outlives_the_gateway_that_asked_for_it(
    shared: Rig, other: Gateway, tmp_path: Path
) -> None:
    async with another_gateway(tmp_path, shared.server.url, probe="/readyz") as dying:
        lost = asyncio.create_task(streamed(dying, "outlives"))
        answering = await shared.worker.take()
        await answering.begin()
        await answering.say(Text("one "))
        await dying.child.stop(signal.SIGKILL)
        with pytest.raises(httpx.TransportError):
            await lost

    again = asyncio.create_task(streamed(other, "outlives"))
    await eventually(lambda: shared.redis.smembers(keys.readers(answering.job.id)), "a new reader")
    assert await answering.say(Text("two")) == 0
    assert await answering.say(Finished()) == 0

    assert said(await again) == "one two"


async def test_a_gateway_that_must_stop_sends_its_clients_to_another(
    shared: Rig, other: Gateway, tmp_path: Path
) -> None:
    config = "drainTimeout = 1"
    async with (
        another_gateway(tmp_path, shared.server.url, config, probe="/readyz") as stopping,
        stopping.http() as http,
    ):
        asked = asyncio.create_task(http.post(CHAT, json=asking(), headers=keyed("stopping")))
        answering = await shared.worker.take()
        await answering.begin()
        stopping.child.send(signal.SIGTERM)
        told = await asked

    assert (told.status_code, told.json()["error"]["code"]) == (502, "interrupted")
    assert "x-should-retry" not in told.headers
    again = asyncio.create_task(streamed(other, "stopping"))
    assert await answering.say(Text("one")) == 0
    assert await answering.say(Finished()) == 0
    assert said(await again) == "one"


async def test_a_client_that_leaves_may_come_back_and_a_stranger_to_the_key_may_not(
    shared: Rig,
) -> None:
    async with shared.gateway.http(key="sk-bob") as bob:
        first = asyncio.create_task(streamed(shared.gateway, "whose"))
        anns = await shared.worker.take()
        bobs_ask = asyncio.create_task(bob.post(CHAT, json=asking(), headers=keyed("whose")))
        bobs = await shared.worker.take()
        assert anns.job.client != bobs.job.client
        await words(bobs, "for bob")
        assert (await bobs_ask).json()["choices"][0]["message"]["content"] == "for bob "
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)

        await eventually(
            lambda: shared.redis.zscore(keys.abandoned, anns.job.id), "ann to be missed"
        )
        await words(anns, "for ann")

    assert said(await streamed(shared.gateway, "whose")) == "for ann "


async def test_a_key_that_was_used_for_something_else_is_refused(shared: Rig) -> None:
    asked = asyncio.create_task(streamed(shared.gateway, "other body"))
    await shared.worker.take(words)
    await asked

    async with shared.gateway.http() as http:
        refused = await http.post(CHAT, json=asking("another"), headers=keyed("other body"))

    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "idempotency_key_reused"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        pytest.param({"idempotency-key": "k" * 256}, "invalid_idempotency_key", id="long key"),
        pytest.param({"idempotency-key": ""}, "invalid_idempotency_key", id="empty key"),
        pytest.param({"idempotency-key": "é".encode()}, None, id="not ASCII"),
        pytest.param(keyed("k", "x-1"), "invalid_event_id", id="no id"),
        pytest.param({"last-event-id": "1-2"}, "missing_idempotency_key", id="no key"),
    ],
)
async def test_headers_that_mean_nothing_are_refused(
    shared: Rig, headers: dict[str, str | bytes], code: str | None
) -> None:
    async with shared.gateway.http() as http:
        refused = await http.post(CHAT, json=asking(stream=True), headers=headers)

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize("last", ["1-999", "2-1"])
async def test_what_is_no_place_of_the_answer_is_refused(shared: Rig, last: str) -> None:
    key = f"beyond {last}"
    asked = asyncio.create_task(streamed(shared.gateway, key))
    await shared.worker.take(words)
    await asked

    async with shared.gateway.http() as http:
        refused = await http.post(CHAT, json=asking(stream=True), headers=keyed(key, last))

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_event_id")


async def test_an_answer_that_is_kept_no_longer_is_not_begun_anew_without_its_beginning(
    shared: Rig,
) -> None:
    async with shared.gateway.http() as http:
        refused = await http.post(CHAT, json=asking(stream=True), headers=keyed("gone", "1-2"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_event_id")
    assert await shared.redis.hget(keys.totals, "waiting") == b"0"

    anew = asyncio.create_task(streamed(shared.gateway, "gone"))
    await shared.worker.take(words)
    assert said(await anew) == "one two three "


async def test_only_who_began_an_answer_counts_its_wait(shared: Rig) -> None:
    before = await shared.metric("poe2gpt_queue_wait_seconds_count")
    asked = asyncio.create_task(streamed(shared.gateway, "waits"))
    await shared.worker.take(words)
    await asked

    await streamed(shared.gateway, "waits")

    await eventually(lambda: shared.shows("poe2gpt_active_requests", 0), "the end of both")
    assert await shared.metric("poe2gpt_queue_wait_seconds_count") == before + 1


async def test_a_failure_that_cost_nothing_is_not_kept(shared: Rig) -> None:
    async def fail(answering: Answering) -> None:
        await answering.say(Failed(FailureKind.OVERLOADED, "later"))

    async with shared.gateway.http() as http:
        asked = asyncio.create_task(http.post(CHAT, json=asking(), headers=keyed("failed")))
        await shared.worker.take(fail)
        assert (await asked).status_code == 503

    again = asyncio.create_task(streamed(shared.gateway, "failed"))
    await shared.worker.take(words)
    assert said(await again) == "one two three "


async def test_a_failure_that_may_have_cost_points_is_told_again(shared: Rig) -> None:
    async def fail(answering: Answering) -> None:
        await answering.begin()
        await answering.say(Failed(FailureKind.INTERRUPTED, "cut", charged=True))

    async with shared.gateway.http() as http:
        asked = asyncio.create_task(http.post(CHAT, json=asking(), headers=keyed("charged")))
        await shared.worker.take(fail)
        first = await asked
        again = await http.post(CHAT, json=asking(), headers=keyed("charged"))

    assert first.status_code == again.status_code == 502
    assert first.headers["x-should-retry"] == again.headers["x-should-retry"] == "false"


async def test_choices_are_resumed_each_where_it_was(shared: Rig, other: Gateway) -> None:
    asked = asyncio.create_task(streamed(shared.gateway, "choices", n=2))
    for text in ("a b", "c d e"):
        await words(await shared.worker.take(), text)
    whole = await asked

    def texts(chunks: list[tuple[str, dict[str, Any]]]) -> Counter[tuple[int, str]]:
        return Counter(
            (choice["index"], choice["delta"].get("content") or "")
            for _, chunk in chunks
            for choice in chunk["choices"]
        )

    for number, (_, chunk) in enumerate(whole):
        if chunk["event_id"] == "0":
            continue  # the roles, which come with the first that is more
        rest = await streamed(other, "choices", last=chunk["event_id"], n=2)
        assert texts(whole[: number + 1]) + texts(rest) == texts(whole)


async def test_an_unknown_model_is_named_whoever_finds_out(shared: Rig) -> None:
    async def refuse(answering: Answering) -> None:
        await answering.say(Failed(FailureKind.MODEL_NOT_FOUND, "no such model"))

    async with shared.gateway.http() as http:
        asked = asyncio.create_task(http.post(CHAT, json=asking()))
        await shared.worker.take(refuse)
        answer = await asked

    assert answer.status_code == 404
    assert "'Test'" in answer.json()["error"]["message"]


async def test_a_worker_can_name_the_field_that_is_at_fault(shared: Rig) -> None:
    async def refuse(answering: Answering) -> None:
        await answering.say(Failed(FailureKind.INVALID_REQUEST, "none", param="tools"))

    async with shared.gateway.http() as http:
        asked = asyncio.create_task(http.post(CHAT, json=asking()))
        await shared.worker.take(refuse)

        assert (await asked).json()["error"]["param"] == "tools"
