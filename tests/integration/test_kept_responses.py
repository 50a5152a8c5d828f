"""Kept responses at two gateways: had again, gone on with, cancelled, and out of room."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from simulated_poe import SimulatedPoe
from tests.support.deployment import KEY, Deployment, Gateway, eventually, running_redis
from tests.support.openai_schema import ERROR, assert_is
from tests.support.responses_schema import DELETED, INPUT_ITEMS, RESPONSE
from tests.support.responses_wire import Event, check, events_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

OTHER = "sk-test-another-clients-token"
GATEWAY = f"""
allowAnyBot = true
accessTokens = ["{KEY}", "{OTHER}"]
maxKept = 2
"""
WORKER = "coolDown = 0.0\nrateLimit = 500\nmaxInFlight = 50"


@dataclass(frozen=True)
class Rig:
    """Two gateways; the tests here ask the first and then look at the second."""

    deployment: Deployment
    first: Gateway
    second: Gateway
    poe: SimulatedPoe
    redis: Redis


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with running_redis() as server:
        deployment = Deployment(tmp_path_factory.mktemp("kept"), server)
        redis = Redis.from_url(server.url, protocol=2)
        try:
            poe = await deployment.start_poe()
            await deployment.start_worker(config=WORKER)
            first = await deployment.start_gateway(config=GATEWAY)
            second = await deployment.start_gateway(config=GATEWAY)
            yield Rig(deployment, first, second, poe, redis)
        finally:
            await redis.aclose()
            await deployment.close()


async def made(gateway: Gateway, **fields: Any) -> Event:
    async with gateway.http() as http:
        answer = await http.post("/v1/responses", json={"model": "Echo", "input": "hi"} | fields)
    assert answer.status_code == 200, answer.text
    assert_is(answer.json(), RESPONSE)
    response: Event = answer.json()
    return response


async def had(gateway: Gateway, path: str, key: str = KEY, method: str = "GET") -> httpx.Response:
    async with gateway.http(key) as http:
        return await http.request(method, f"/v1/responses/{path}")


async def streamed(gateway: Gateway, response: str, after: int | None = None) -> list[Event]:
    query = "" if after is None else f"&starting_after={after}"
    return events_of((await had(gateway, f"{response}?stream=true{query}")).text)


async def ended(gateway: Gateway, response: str) -> Event:
    async def look() -> Event | None:
        shown: Event = (await had(gateway, response)).json()
        return shown if shown["status"] not in ("queued", "in_progress") else None

    found: Event = await eventually(look, "the end of the response")
    return found


async def test_a_response_is_shown_and_streamed_alike_everywhere(rig: Rig) -> None:
    async with rig.first.http() as http:
        asked = {"model": "Reason", "input": "Why?", "stream": True}
        stream = events_of((await http.post("/v1/responses", json=asked)).text)
    response = check(stream)

    shown = (await had(rig.second, response["id"])).json()

    assert_is(shown, RESPONSE)
    assert shown == response
    assert await streamed(rig.second, response["id"]) == stream
    for after in range(len(stream) + 1):
        assert await streamed(rig.second, response["id"], after) == stream[after + 1 :]


async def test_a_whole_response_can_be_streamed_later(rig: Rig) -> None:
    response = await made(rig.first, input="Grüße, 世界 🙂")

    assert check(await streamed(rig.second, response["id"])) == response


async def test_a_background_response_goes_on_without_its_client(rig: Rig) -> None:
    response = await made(
        rig.first, model="Count", input="count to 20 every 20ms", background=True, store=False
    )
    assert response["status"] in ("queued", "in_progress")

    stream = await streamed(rig.second, response["id"])

    shown = await ended(rig.first, response["id"])
    assert_is(shown, RESPONSE)
    assert check(stream) == shown
    assert shown["background"] is True
    assert shown["output"][0]["content"][0]["text"].endswith(" 20")


async def test_a_response_in_the_background_may_fail(rig: Rig) -> None:
    response = await made(rig.first, model="Error", input="hi", background=True)

    shown = await ended(rig.second, response["id"])

    assert shown["status"] == "failed"
    assert_is(shown, RESPONSE)
    assert shown["error"]["message"]
    assert check(await streamed(rig.second, response["id"])) == shown


async def test_a_background_response_is_cancelled_by_any_gateway(rig: Rig) -> None:
    slow = "count to 500 every 50ms"
    response = await made(rig.first, model="Count", input=slow, background=True)
    reading = asyncio.create_task(streamed(rig.first, response["id"]))
    await eventually(lambda: rig.poe.record.calls[-1].characters, "the first words")

    cancelled = await had(rig.second, f"{response['id']}/cancel", method="POST")

    assert cancelled.json()["status"] == "cancelled"
    assert_is(cancelled.json(), RESPONSE)
    await eventually(lambda: rig.poe.record.calls[-1].outcome == "client_left", "the end")
    assert check(await reading)["status"] == "cancelled"
    again = await had(rig.first, f"{response['id']}/cancel", method="POST")
    assert again.json() == cancelled.json()


async def test_a_response_ends_with_its_client_and_is_kept_as_far_as_it_came(rig: Rig) -> None:
    asked = {"model": "Count", "input": "count to 500 every 50ms", "stream": True}
    async with rig.first.http() as http, http.stream("POST", "/v1/responses", json=asked) as own:
        response, _ = await _begun(own)

    shown = await ended(rig.second, response)

    assert_is(shown, RESPONSE)
    assert shown["status"] == "cancelled"
    assert shown["output"][0]["content"][0]["text"]


async def test_an_answer_goes_on_for_another_who_reads_it(rig: Rig) -> None:
    asked = {"model": "Count", "input": "count to 40 every 50ms", "stream": True}
    async with (
        rig.first.http() as http,
        rig.second.http() as other,
        http.stream("POST", "/v1/responses", json=asked) as own,
    ):
        response, _ = await _begun(own)
        async with other.stream("GET", f"/v1/responses/{response}?stream=true") as further:
            _, lines = await _begun(further)
            await own.aclose()
            rest = [line async for line in lines]

    assert "event: response.completed" in rest


async def _begun(answer: httpx.Response) -> tuple[str, AsyncIterator[str]]:
    """Read up to the first words, and return the response's id, and what follows."""
    lines, response = answer.aiter_lines(), ""
    async for line in lines:
        if line.startswith("data: "):
            event = json.loads(line[6:])
            response = response or event["response"]["id"]
            if event["type"].endswith(".delta"):
                return response, lines
    raise AssertionError("no words came")


async def test_a_conversation_of_many_turns_costs_what_it_says(rig: Rig) -> None:
    response = await made(rig.first, input="turn 0")
    for turn in range(1, 12):
        gateway = rig.first if turn % 2 else rig.second
        response = await made(gateway, input=f"turn {turn}", previous_response_id=response["id"])

    said = [each["content"] for each in rig.poe.record.bodies[-1]["messages"]]
    assert said == [f"turn {n // 2}" for n in range(23)]
    held = {
        int(await rig.redis.hget(key, "bytes") or 0)  # type: ignore[misc]
        for key in await rig.redis.keys("p2g:kept:*")
        if await rig.redis.hget(key, "input") in {b'"turn 1"', b'"turn 10"'}  # type: ignore[misc]
    }
    assert max(held) - min(held) < 100
    listed = (await had(rig.second, f"{response['id']}/input_items?limit=100")).json()
    assert_is(listed, INPUT_ITEMS)
    assert [item["content"][0]["text"] for item in listed["data"]] == said[::-1]


async def test_a_large_conversation_is_read_apart(rig: Rig) -> None:
    asked = "count to 1" + " " * 60_000
    first = await made(rig.first, model="Count", input=asked)

    second = await made(rig.second, input="short", previous_response_id=first["id"])

    assert second["status"] == "completed"
    said = [each["content"] for each in rig.poe.record.bodies[-1]["messages"]]
    assert said == [asked, "1", "short"]


async def test_what_is_anothers_does_not_exist(rig: Rig) -> None:
    response = (await made(rig.first))["id"]

    for method, path in (
        ("GET", response),
        ("GET", f"{response}?stream=true"),
        ("GET", f"{response}/input_items"),
        ("POST", f"{response}/cancel"),
        ("DELETE", response),
    ):
        refused = await had(rig.second, path, OTHER, method)
        absent = await had(rig.second, path.replace(response, "resp_" + 24 * "0"), OTHER, method)
        assert refused.status_code == absent.status_code == 404
        assert_is(refused.json(), ERROR)
        assert refused.text.replace(response, "resp_" + 24 * "0") == absent.text
    async with rig.second.http(OTHER) as http:
        asked = {"model": "Echo", "input": "hi", "previous_response_id": response}
        refused = await http.post("/v1/responses", json=asked)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "previous_response_id")
    assert (await had(rig.second, response)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "resp_1", 404),
        ("GET", "../responses/x", 404),
        ("GET", "resp_" + 24 * "g", 404),
        ("GET", "resp_" + 24 * "0" + "-1", 404),
        ("DELETE", "nothing", 404),
        ("POST", "resp_" + 24 * "0", 405),
        ("PUT", "resp_" + 24 * "0", 405),
        ("GET", "resp_" + 24 * "0" + "/cancel", 405),
        ("GET", "resp_" + 24 * "0" + "/tomorrow", 404),
        ("POST", "compact", 404),
    ],
)
async def test_malformed_ids_are_not_found(rig: Rig, method: str, path: str, status: int) -> None:
    answer = await had(rig.first, path, method=method)

    assert answer.status_code == status
    assert_is(answer.json(), ERROR)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("?stream=true&starting_after=-1", "starting_after"),
        ("?stream=true&starting_after=x", "starting_after"),
        ("/input_items?limit=0", "limit"),
        ("/input_items?limit=101", "limit"),
        ("/input_items?order=up", "order"),
        ("/input_items?after=msg_1", "after"),
    ],
)
async def test_malformed_queries_name_the_parameter(rig: Rig, query: str, param: str) -> None:
    response = (await made(rig.first))["id"]

    refused = await had(rig.first, f"{response}{query}")

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


async def test_an_answer_that_has_not_ended_is_not_gone_on_from(rig: Rig) -> None:
    slow = "count to 500 every 50ms"
    response = await made(rig.first, model="Count", input=slow, background=True)
    asked = {"model": "Echo", "input": "hi", "previous_response_id": response["id"]}
    async with rig.first.http() as http:
        refused = await http.post("/v1/responses", json=asked)

    assert refused.status_code == 400
    assert "not ended" in refused.json()["error"]["message"]
    deleted = await had(rig.second, response["id"], method="DELETE")
    assert_is(deleted.json(), DELETED)
    await eventually(lambda: rig.poe.record.calls[-1].outcome == "client_left", "the end")
    assert "deleted" in (await had(rig.first, response["id"])).json()["error"]["message"]


async def test_a_client_has_no_more_kept_than_its_bound(rig: Rig) -> None:
    oldest = await made(rig.first)
    for _ in range(8):
        await made(rig.first, model="Count", input="count to 1" + " " * 300_000)

    gone = await had(rig.second, oldest["id"])

    assert gone.status_code == 404
    assert "room" in gone.json()["error"]["message"]
    assert int(await rig.redis.hget("p2g:totals", "kept") or 0) <= 2 * 2**20  # type: ignore[misc]


async def test_kept_answers_give_way_when_redis_is_full(rig: Rig) -> None:
    kept = await made(rig.first, model="Count", input="count to 1" + " " * 300_000)
    used = (await rig.redis.info("memory"))["used_memory"]
    await rig.redis.config_set("maxmemory", used - 200_000)
    try:
        response = await made(rig.first)

        assert response["status"] == "completed"
        assert (await had(rig.second, kept["id"])).status_code == 404
    finally:
        await rig.redis.config_set("maxmemory", 0)


async def test_a_killed_gateways_stream_is_gone_on_with_elsewhere(rig: Rig) -> None:
    calls = len(rig.poe.record.calls)
    asked = {"model": "Count", "input": "count to 40 every 50ms", "stream": True}
    told = ""

    async with rig.first.http() as http:
        try:
            async with http.stream("POST", "/v1/responses", json=asked) as answer:
                async for piece in answer.aiter_text():
                    told += piece
                    if told.count("output_text.delta") > 4:
                        rig.first.child.send(signal.SIGKILL)
        except httpx.TransportError:
            pass
    seen = events_of(told[: told.rindex("\n\n") + 2])
    response = seen[0]["response"]["id"]
    rest = await streamed(rig.second, response, seen[-1]["sequence_number"])

    assert check([*seen, *rest])["status"] == "completed"
    assert len(rig.poe.record.calls) == calls + 1
    assert (await had(rig.second, response)).json() == rest[-1]["response"]
