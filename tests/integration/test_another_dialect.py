"""A dialect is one folder and one line: the toy's client sees nothing of OpenAI's API."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from contract.messages import Failed, FailureKind, Finished, Text
from gateway.config import GatewayConfig, access_token
from poe2gpt import programs
from poe2gpt.programs import Program
from tests.support.deployment import KEY, Child, Gateway, eventually, free_port, running_redis
from tests.support.gateway_alone import CHAT, Rig, asking, kill
from tests.support.scripted_worker import answering_all, scripted_worker, words

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAY = "/v1/say"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A gateway that speaks the toy dialect beside OpenAI's, with a scripted worker."""
    log = tmp_path_factory.mktemp("toy") / "gateway.log"
    token = msgspec.structs.replace(access_token(KEY), rate_limit=1_000)
    async with running_redis() as server:
        redis = Redis.from_url(server.url, protocol=2)
        async with scripted_worker(redis) as worker:
            port = free_port()
            settings = GatewayConfig(
                port=port, redis_url=server.url, access_tokens=(token,), status_hold=0
            )
            argv = (sys.executable, "-m", "tests.support.toy_gateway")
            program = Program("gateway", argv, programs.environment_without([]), settings, log=log)
            child = Child(await programs.start(program), log)
            gateway = Gateway(child, port)
            await eventually(lambda: gateway.answers("/readyz"), "the gateway")
            yield Rig(gateway, server, redis, worker)
            await kill(child)
            await redis.aclose()


def saying(said: str = "hello", **more: Any) -> dict[str, Any]:
    return {"to": "Test", "words": said, **more}


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Each event's name and data; each must have both."""
    *events, rest = text.split("\n\n")
    assert rest == ""
    found = []
    for event in events:
        name, data = event.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def test_a_whole_answer_is_the_dialects_own(shared: Rig) -> None:
    async with shared.gateway.http() as http, answering_all(shared.worker, words):
        answer = await http.post(SAY, json=saying(shout=True, times=2))

    assert answer.json() == {"voices": ["ONE TWO THREE ", "ONE TWO THREE "]}
    assert int(answer.headers["toy-asks-left"]) < 1_000
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]
    exposed = answer.headers["access-control-expose-headers"].split(", ")
    assert [name for name in exposed if not name.startswith("x-points-")] == [
        "x-request-id",
        "toy-asks-left",
    ]


async def test_a_large_body_is_parsed_in_a_child_process_all_the_same(shared: Rig) -> None:
    async with shared.gateway.http() as http, answering_all(shared.worker, words):
        answer = await http.post(SAY, json=saying("x" * 100_000, shout=True))

    assert answer.json() == {"voices": ["ONE TWO THREE "]}


async def test_a_stream_has_the_dialects_events_and_none_besides(shared: Rig) -> None:
    async with shared.gateway.http() as http:
        asked = asyncio.create_task(http.post(SAY, json=saying(stream=True)))
        answering = await shared.worker.take()
        await answering.begin()
        await answering.say(Text("one"), Text(" two"))
        await answering.say(Finished())
        answer = await asked

    *_, said, silence, bye = told = events_of(answer.text)
    assert said == ("words", {"voice": 0, "words": "one two"})
    assert silence == ("silence", {"voice": 0, "why": "stop"})
    assert bye == ("bye", {})
    assert {name for name, _ in told} <= {"wait", "hello", "words", "silence", "bye"}


async def test_a_resumed_stream_carries_the_dialects_ids(shared: Rig) -> None:
    key = {"idempotency-key": "toy-1"}
    async with shared.gateway.http() as http, answering_all(shared.worker, words):
        whole = await http.post(SAY, json=saying(stream=True), headers=key)
        numbered = [data for _, data in events_of(whole.text) if "toy_id" in data]
        middle = numbered[len(numbered) // 2]["toy_id"]
        rest = await http.post(
            SAY, json=saying(stream=True), headers=key | {"last-event-id": middle}
        )

    assert numbered[0]["toy_id"] == "0"
    assert f"id: {numbered[-1]['toy_id']}\n" in rest.text
    again = [line for line in rest.text.splitlines() if line.startswith('data: {"toy_id"')]
    assert [json.loads(line.removeprefix("data: ")) for line in again] == (
        numbered[len(numbered) // 2 + 1 :]
    )


async def test_a_failure_is_worded_by_the_dialect_before_and_after_the_first_byte(
    shared: Rig,
) -> None:
    failed = Failed(FailureKind.NO_POINTS, "none left")
    async with shared.gateway.http() as http:
        asked = asyncio.create_task(http.post(SAY, json=saying()))
        answering = await shared.worker.take()
        await answering.say(failed)
        early = await asked
        asked = asyncio.create_task(
            http.send(http.build_request("POST", SAY, json=saying(stream=True)), stream=True)
        )
        answering = await shared.worker.take()
        await answering.say(Text("one"))
        late = await asked
        await answering.say(failed)
        await late.aread()

    assert (early.status_code, early.json()["oops"]) == (420, "no_points")
    assert events_of(late.text)[-1] == ("oops", {"oops": "no_points", "words": "none left"})


@pytest.mark.parametrize(
    ("key", "method", "path", "told"),
    [
        pytest.param("wrong", "POST", SAY, (498, "unauthenticated"), id="a wrong key"),
        pytest.param(KEY, "POST", SAY, (400, "bad_request"), id="a missing field"),
        pytest.param(KEY, "GET", SAY, (400, "method_not_allowed"), id="another method"),
        pytest.param(KEY, "POST", SAY + "/loud", (410, "unknown_path"), id="a path below"),
    ],
)
async def test_what_goes_wrong_on_the_way_is_worded_by_the_dialect_of_the_path(
    shared: Rig, key: str, method: str, path: str, told: tuple[int, str]
) -> None:
    async with shared.gateway.http(key=key) as http:
        answer = await http.request(method, path, json={"to": "Test"})

    assert (answer.status_code, answer.json()["oops"]) == told


async def test_where_both_dialects_serve_a_path_or_none_does_the_mark_decides(
    shared: Rig,
) -> None:
    mark = {"toy-version": "1"}
    async with shared.gateway.http() as http:
        theirs = await http.get("/v1/models")
        ours = await http.get("/v1/models", headers=mark)
        nowhere = await http.get("/v1/nowhere", headers=mark)

    assert theirs.json()["object"] == "list"
    assert ours.json() == []
    assert nowhere.json()["oops"] == "unknown_path"
    assert nowhere.json()["request"] == nowhere.headers["toy-request"]
    assert nowhere.headers["toy-request"] == nowhere.headers["x-request-id"]
    assert "toy-request" not in theirs.headers


async def test_an_inquiry_is_answered_from_its_body_alone_and_only_with_a_key(
    shared: Rig,
) -> None:
    async with shared.gateway.http() as http, shared.gateway.http(key=None) as stranger:
        small = await http.post(SAY + "/count", json={"words": "hello"})
        large = await http.post(SAY + "/count", json={"words": "x" * 100_000})
        refused = await stranger.post(SAY + "/count", json={"words": "hello"})

    assert (small.json(), large.json()) == ({"letters": 5}, {"letters": 100_000})
    assert refused.status_code == 498


async def test_an_open_page_is_shown_without_a_key(shared: Rig) -> None:
    async with shared.gateway.http(key=None) as stranger:
        page = await stranger.get("/hello?you")
        head = await stranger.head("/hello")
        closed = await stranger.get(SAY + "/to")

    assert page.json() == {"hello": "you"}
    assert (head.status_code, head.content) == (200, b"")
    assert closed.status_code == 498


async def test_the_other_dialect_is_as_it_was(shared: Rig) -> None:
    async with shared.gateway.http() as http, answering_all(shared.worker, words):
        answer = await http.post(CHAT, json=asking())
        nowhere = await http.get("/v1/nowhere")
        models = await http.get(SAY + "/to")

    assert answer.json()["choices"][0]["message"]["content"] == "one two three "
    assert "x-ratelimit-limit-requests" in answer.headers
    assert nowhere.json()["error"]["code"] == "unknown_url"
    assert models.json() == []
