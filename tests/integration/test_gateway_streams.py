"""Answers on their way through a gateway, whatever happens to Redis, the client or the gateway."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from unittest.mock import ANY

import httpx
import pytest
import pytest_asyncio

from contract.messages import (
    Event,
    Failed,
    FailureKind,
    Finished,
    Record,
    Text,
    TokenCounts,
)
from runtime.signals import ECHO
from tests.support.deployment import KEY, eventually
from tests.support.gateway_alone import (
    CHAT,
    Rig,
    another_gateway,
    asking,
    rig,
    text_of,
)
from tests.support.keys import keys
from tests.support.scripted_worker import Answering, encode, words

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = "statusHold = 0\nkeepAlive = 1"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("streams"), CONFIG) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(shared: Rig) -> AsyncIterator[httpx.AsyncClient]:
    async with shared.gateway.http(limits=httpx.Limits(max_connections=None)) as client:
        yield client


def streaming(
    http: httpx.AsyncClient, text: str = "hello"
) -> AbstractAsyncContextManager[httpx.Response]:
    return http.stream("POST", CHAT, json=asking(text, stream=True))


async def nothing_is_left(own: Rig) -> None:
    """The gateway has forgotten the request, and Redis holds nothing that still counts."""

    async def idle() -> bool:
        waiting = await own.redis.hget(keys.totals, "waiting")
        return await own.metric("poe2gpt_active_requests") == 0 and waiting in (None, b"0")

    await eventually(idle, "an idle gateway")
    assert await own.redis.zcard(keys.ring) == 0
    async for name in own.redis.scan_iter(keys.client("*")):
        tally = await own.redis.hgetall(name)
        assert {tally.get(k, b"0") for k in (b"waiting", b"running", b"open")} == {b"0"}, tally
        client = name.decode().removeprefix(keys.client(""))
        assert await own.redis.xlen(keys.jobs(client)) == 0


async def test_a_stream_is_the_log_in_order(shared: Rig, http: httpx.AsyncClient) -> None:
    async with streaming(http) as stream:
        await shared.worker.take(words)

        assert await text_of(stream) == "one two three "
    await nothing_is_left(shared)


async def test_lost_and_doubled_frames_change_nothing(shared: Rig, http: httpx.AsyncClient) -> None:
    dice = random.Random(7)
    expected = [f"{n} " for n in range(60)]

    async with streaming(http) as stream:
        answering = await shared.worker.take()
        await answering.begin()
        said: list[Record] = []
        for word in expected:
            match dice.randrange(3):
                case 0:
                    said.append(await answering.log_only(Text(word)))
                case 1:
                    await answering.say(Text(word))
                case _:
                    record = answering.record(Text(word))
                    await shared.worker.append([record])
                    said.append(record)
                    await answering.frame_only(*dice.sample(said, min(3, len(said))))
        await answering.say(Finished())

        assert await text_of(stream) == "".join(expected)


async def test_an_end_of_which_no_frame_tells_is_found_in_the_log(
    shared: Rig, http: httpx.AsyncClient
) -> None:
    async with streaming(http) as stream:
        answering = await shared.worker.take()
        await answering.begin()
        await answering.log_only(Text("all "))
        await answering.log_only(Text("silent"), Finished())

        assert await text_of(stream) == "all silent"


async def test_streams_do_not_notice_that_the_subscription_is_cut_again_and_again(
    shared: Rig, http: httpx.AsyncClient
) -> None:
    count = 20
    done = asyncio.Event()

    async def cut() -> None:
        while not done.is_set():
            for subscriber in await shared.redis.client_list("pubsub"):
                if subscriber["name"] != shared.worker.name:
                    await shared.redis.client_kill_filter(_id=subscriber["id"])
            await asyncio.sleep(0.03)

    async def one(n: int) -> str:
        async with streaming(http, f"{n}") as stream:
            return await text_of(stream)

    async def answer() -> None:
        answering = await shared.worker.take()
        await answering.begin()
        for word in range(30):
            await answering.say(Text(f"{answering.job.messages[0].content}.{word} "))
            await asyncio.sleep(0.01)
        await answering.say(Finished())

    async def subscribed() -> bool:
        return bool(await shared.redis.pubsub_channels(keys.events("*")))

    cutting = asyncio.create_task(cut())
    texts, *_ = await asyncio.gather(
        asyncio.gather(*map(one, range(count))), *(answer() for _ in range(count))
    )
    done.set()
    await cutting
    await eventually(subscribed, "the subscription")

    assert texts == ["".join(f"{n}.{word} " for word in range(30)) for n in range(count)]
    await nothing_is_left(shared)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(b"\xc1", id="no msgpack"),
        pytest.param(b"", id="nothing"),
        pytest.param(encode([["job", 1, 1, [["unheard-of", 1]]]]), id="an unknown event"),
        pytest.param(encode({"a": 1}), id="a map"),
        pytest.param(encode([[1, 2, 3]]), id="wrong types"),
        pytest.param(encode([Record("0" * 24, 1, 1, (Text("x"),))]), id="a job nobody has"),
    ],
)
async def test_a_poisoned_frame_hurts_nobody(
    shared: Rig, http: httpx.AsyncClient, frame: bytes
) -> None:
    async with streaming(http) as stream:
        answering = await shared.worker.take()
        await answering.begin()
        await answering.say(Text("before "))
        await answering.publish(frame)
        await answering.say(Text("after"), Finished())

        assert await text_of(stream) == "before after"


async def test_a_poisoned_log_ends_its_own_stream_only(
    shared: Rig, http: httpx.AsyncClient
) -> None:
    async with streaming(http, "poisoned") as stream, streaming(http, "well") as other:
        jobs = [await shared.worker.take(), await shared.worker.take()]
        poisoned, well = sorted(jobs, key=lambda job: job.job.messages[0].content)
        await poisoned.say(Text("before "))
        poison = poisoned.record()
        await poisoned.put_in_log(poison.epoch, poison.seq, encode(["x", 1, 2, [["unheard-of"]]]))
        await well.publish(b"\xc1")
        await well.say(Text("fine"), Finished())

        assert await text_of(other) == "fine"
        events = await events_of(stream)

    assert events[-1]["error"]["code"] == "internal_error"
    assert await shared.worker.told_to_stop() == poisoned.job.id
    await poisoned.say(Failed(FailureKind.CANCELLED, "client left"))
    await nothing_is_left(shared)


async def test_a_hole_in_the_log_is_told_and_not_skipped(
    shared: Rig, http: httpx.AsyncClient
) -> None:
    async with streaming(http) as stream:
        answering = await shared.worker.take()
        await answering.say(Text("before "))
        answering.record(Text("lost "))
        await answering.say(Text("after"), Finished())

        events = await events_of(stream)

    assert events[-1]["error"]["code"] == "interrupted"
    assert "after" not in json.dumps(events)


async def events_of(stream: httpx.Response) -> list[dict]:  # type: ignore[type-arg]
    """All that a stream says before it ends without a `[DONE]`."""
    lines = [line async for line in stream.aiter_lines()]
    assert "data: [DONE]" not in lines
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


async def test_a_late_failure_is_an_event_without_choices_and_the_end(
    shared: Rig, http: httpx.AsyncClient
) -> None:
    async with streaming(http) as stream:
        answering = await shared.worker.take()
        await answering.begin()
        await answering.say(Text("begun"))
        await answering.say(Failed(FailureKind.UPSTREAM_FAILED, "Poe died", charged=True))

        events = await events_of(stream)

    assert events[1]["choices"][0]["delta"]["content"] == "begun"
    assert events[-1].keys() == {"error"}
    assert events[-1]["error"]["message"] == "Poe died"


async def test_a_failure_after_output_is_an_error_for_who_wanted_it_whole(
    shared: Rig, http: httpx.AsyncClient
) -> None:
    async def begin_and_die(answering: Answering) -> None:
        await answering.begin()
        await answering.say(Text("begun"))
        await answering.say(Failed(FailureKind.INTERRUPTED, "died", charged=True))

    answering = asyncio.create_task(shared.worker.take(begin_and_die))
    answer = await http.post(CHAT, json=asking())

    await answering
    assert answer.status_code == 502
    assert answer.headers["x-should-retry"] == "false"
    assert "begun" not in answer.text


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_client_that_leaves_while_queued_costs_nothing(shared: Rig, stream: bool) -> None:
    async with shared.gateway.http() as http:
        asked = asyncio.create_task(http.post(CHAT, json=asking(stream=stream)))

        async def queued() -> bool:
            return await shared.redis.hget(keys.totals, "waiting") == b"1"

        await eventually(queued, "the job")
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    await nothing_is_left(shared)
    assert await shared.metric("poe2gpt_answers_total", {"outcome": "client left"}) > 0


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="before the first byte"),
        pytest.param([Text("a"), Text("b")], id="in the middle"),
    ],
)
async def test_the_worker_hears_of_a_client_that_leaves(
    shared: Rig, stream: bool, events: list[Event]
) -> None:
    async with shared.gateway.http() as http:
        asked = asyncio.create_task(http.post(CHAT, json=asking(stream=stream)))
        answering = await shared.worker.take()
        await answering.begin()
        for event in events:
            await answering.say(event)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    assert await shared.worker.told_to_stop() == answering.job.id
    assert await answering.say(Text("more")) == 1
    await answering.say(Failed(FailureKind.CANCELLED, "client left"))
    await nothing_is_left(shared)


async def test_a_client_that_leaves_after_the_end_has_not_left(
    shared: Rig, http: httpx.AsyncClient
) -> None:
    before = await shared.metric("poe2gpt_answers_total", {"outcome": "client left"})

    async with streaming(http) as stream:
        await shared.worker.take(words)
        async for line in stream.aiter_lines():
            if line == "data: [DONE]":
                break

    await nothing_is_left(shared)
    assert shared.worker.cancelled.empty()
    assert await shared.metric("poe2gpt_answers_total", {"outcome": "client left"}) == before


async def test_who_waits_is_told_the_place_in_line(tmp_path: Path) -> None:
    async with rig(tmp_path, CONFIG) as own, own.gateway.http() as http:
        await own.worker.beat(TokenCounts(cooling=1), capacity=0.1)

        async def seen(depth: int) -> bool:
            tokens = await own.metric("poe2gpt_tokens", {"state": "cooling"})
            return (await own.metric("poe2gpt_queue_depth"), tokens) == (depth, 1)

        await eventually(lambda: seen(0), "a look at the worker")
        async with streaming(http) as first:
            told_first = first.aiter_raw()
            assert await anext(told_first) == b": keep-alive queued position=1 eta=5s\n\n"

            await eventually(lambda: seen(1), "a look at the queue")
            async with streaming(http) as second:
                told_second = second.aiter_raw()
                assert await anext(told_second) == b": keep-alive queued position=2 eta=15s\n\n"
        await nothing_is_left(own)


async def test_a_silent_stream_is_kept_alive(shared: Rig, http: httpx.AsyncClient) -> None:
    async with streaming(http) as stream:
        answering = await shared.worker.take()
        await answering.begin()
        # Held in a variable: httpx closes the connection of an iterator that nobody holds.
        lines = stream.aiter_lines()
        before = []
        while (line := await anext(lines)) != ": keep-alive":
            before.append(line)
        await answering.say(Text("late"), Finished())
        rest = [line async for line in lines]

    assert "data:" not in "".join(before)
    assert '"late"' in "".join(rest)
    assert rest[-2:] == ["data: [DONE]", ""]


async def test_a_wait_beyond_the_timeout_is_a_429(tmp_path: Path) -> None:
    async with rig(tmp_path, "queueTimeout = 0.2") as own, own.gateway.http() as http:
        answers = await asyncio.gather(
            http.post(CHAT, json=asking()), http.post(CHAT, json=asking(stream=True))
        )

        for answer in answers:
            assert answer.status_code == 429
            assert answer.json()["error"]["code"] == "queue_timeout"
            assert int(answer.headers["retry-after"]) >= 1
        await nothing_is_left(own)


async def test_a_wait_that_is_hopeless_from_the_start_is_a_429_at_once(tmp_path: Path) -> None:
    async with rig(tmp_path, "queueTimeout = 20") as own, own.gateway.http() as http:
        await own.worker.beat(TokenCounts(cooling=1), capacity=0.01)

        async def slow() -> bool:
            return await own.metric("poe2gpt_tokens", {"state": "cooling"}) == 1

        await eventually(slow, "a look at the worker")
        answer = await http.post(CHAT, json=asking())

        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "50"
        await nothing_is_left(own)


async def test_a_full_queue_is_a_429(tmp_path: Path) -> None:
    async with rig(tmp_path, "maxQueued = 2\nstatusHold = 0") as own, own.gateway.http() as http:
        async with streaming(http), streaming(http):
            answer = await http.post(CHAT, json=asking())

        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "queue_full"
        assert int(answer.headers["retry-after"]) >= 1
        await nothing_is_left(own)


async def test_each_of_many_streams_ends_though_no_garbage_is_collected(tmp_path: Path) -> None:
    """Granian ends a stream when its transport is freed: a cycle around one would hold it open."""
    count = 200
    (tmp_path / "sitecustomize.py").write_text("import gc; gc.disable()")

    async def ask(http: httpx.AsyncClient, n: int) -> bytes:
        async with streaming(http, f"{n}") as stream:
            return await stream.aread()

    async def answer(own: Rig) -> None:
        answering = await own.worker.take()
        n = answering.job.messages[0].content
        await answering.say(Text(f"answer {n}"))
        failed = Failed(FailureKind.UPSTREAM_FAILED, f"failure {n}")
        await answering.say(failed if int(n) % 2 else Finished())

    async with (
        rig(tmp_path, CONFIG, env={"PYTHONPATH": str(tmp_path)}) as own,
        own.gateway.http(limits=httpx.Limits(max_connections=None)) as http,
    ):
        asked = asyncio.gather(*(ask(http, n) for n in range(count)))
        for _ in range(count):
            await answer(own)

        for n, said in enumerate(await asked):
            assert (b"failure %d" if n % 2 else b"answer %d") % n in said
            assert said.endswith(b"[DONE]\n\n") is (n % 2 == 0)
        await nothing_is_left(own)


async def test_two_gateways_do_not_hear_each_others_answers(
    shared: Rig, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    async def both() -> bool:
        return len(await shared.redis.pubsub_channels(keys.events("*"))) == 2

    async with (
        another_gateway(tmp_path, shared.server.url, CONFIG, "/readyz") as other,
        other.http() as there,
    ):
        await eventually(both, "both subscriptions")
        async with streaming(http, "here") as a, streaming(there, "there") as b:
            for _ in range(2):
                answering = await shared.worker.take()
                await answering.say(Text(answering.job.messages[0].content), Finished())

            assert (await text_of(a), await text_of(b)) == ("here", "there")
        assert await other.child.stop() == 0
    assert not await both()
    assert await shared.redis.zcount(keys.gateways, 1, "+inf") == 1


async def test_a_drain_lets_streams_finish_and_takes_no_more(tmp_path: Path) -> None:
    async with rig(tmp_path, "statusHold = 0") as own, own.gateway.http() as http:
        async with streaming(http) as stream:
            answering = await own.worker.take()
            await answering.say(Text("before "))
            own.gateway.child.send(signal.SIGTERM)

            await eventually(lambda: "draining" in own.gateway.child.output(), "the drain")

            async def closed() -> bool:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", own.gateway.port)
                except ConnectionError:
                    return True
                writer.close()
                return False

            await eventually(closed, "a closed door")
            await answering.say(Text("after"), Finished())

            assert await text_of(stream) == "before after"
        assert await own.gateway.child.stop(0) == 0
        assert await own.redis.zrange(keys.gateways, 0, -1, withscores=True) == [(ANY, 0.0)]
        assert await own.redis.pubsub_channels(keys.events("*")) == []
        assert own.gateway.child.output().count("Traceback") == 0


async def test_it_is_not_ready_while_it_says_goodbye(tmp_path: Path) -> None:
    async with rig(tmp_path) as own, own.gateway.http() as http:
        await http.get("/healthz")
        own.gateway.child.send(signal.SIGTERM)
        await eventually(lambda: "draining" in own.gateway.child.output(), "the drain")

        answer = await http.get("/readyz")

        assert (answer.status_code, answer.json()["draining"]) == (503, True)
        assert await own.gateway.child.stop(0) == 0


async def test_what_outlasts_the_drain_ends_with_an_error(tmp_path: Path) -> None:
    async with (
        rig(tmp_path, "statusHold = 0\ndrainTimeout = 1") as own,
        own.gateway.http() as http,
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", own.gateway.port)
        writer.write(
            f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Length: 100\r\n\r\n{".encode()
        )
        async with streaming(http) as stream:
            answering = await own.worker.take()
            await answering.say(Text("begun "))
            own.gateway.child.send(signal.SIGTERM)

            events = await events_of(stream)

        assert events[-1]["error"]["code"] == "interrupted"
        assert await own.worker.told_to_stop() == answering.job.id
        assert await own.gateway.child.stop(0) == 0
        writer.close()


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with (
        rig(tmp_path, "statusHold = 0") as own,
        own.gateway.http() as http,
        streaming(http) as stream,
    ):
        await own.worker.take()
        own.gateway.child.send(signal.SIGTERM)
        await eventually(lambda: "draining" in own.gateway.child.output(), "the drain")
        # Sooner, it would be taken for the same request.
        await asyncio.sleep(ECHO)

        assert await own.gateway.child.stop() == 1
        with pytest.raises(httpx.RemoteProtocolError):
            await stream.aread()


async def test_a_gateway_that_stood_still_until_redis_dropped_it_loses_nothing(
    shared: Rig, http: httpx.AsyncClient
) -> None:
    count, piece = 10, "0123456789abcdef" * 256
    await shared.redis.config_set("client-output-buffer-limit", "pubsub 16384 0 0")
    asked = []
    answerings = []
    for n in range(count):
        response = await http.send(
            http.build_request("POST", CHAT, json=asking(f"{n}", stream=True)), stream=True
        )
        asked.append(response)
        answerings.append(await shared.worker.take())
        await answerings[-1].begin()

    async def subscribed() -> bool:
        return bool(await shared.redis.pubsub_channels(keys.events("*")))

    async def dropped() -> bool:
        # More than the kernel keeps for one connection, until Redis keeps too much as well.
        for answering in answerings:
            await answering.say(Text(piece))
        return not await subscribed()

    shared.gateway.child.send(signal.SIGSTOP)
    try:
        await eventually(dropped, "the end of the subscription")
    finally:
        shared.gateway.child.send(signal.SIGCONT)
        await shared.redis.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
    for answering in answerings:
        await answering.say(Finished())

    texts = [await text_of(response) for response in asked]
    assert texts == [piece * (len(texts[0]) // len(piece))] * count
    assert texts[0]
    await nothing_is_left(shared)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_client_whose_gateway_was_taken_for_dead_hears_of_an_interruption(
    shared: Rig, http: httpx.AsyncClient, stream: bool
) -> None:
    asked = asyncio.create_task(http.post(CHAT, json=asking(stream=stream)))
    answering = await shared.worker.take()
    await answering.begin()
    await answering.say(Text("begun"))
    gateway = (await shared.redis.hget(keys.job(answering.job.id), "gateway")).decode()

    shared.gateway.child.send(signal.SIGSTOP)
    try:
        await shared.redis.zadd(keys.gateways, {gateway: 0})
        await shared.worker.reclaim()
        assert await shared.worker.told_to_stop() == answering.job.id
    finally:
        shared.gateway.child.send(signal.SIGCONT)
    await answering.say(Failed(FailureKind.CANCELLED, "The client has left."))
    answer = await asked

    told = answer.text.rpartition("data: ")[2] if stream else answer.text
    error = json.loads(told)["error"]
    assert error["code"] == "interrupted"
    assert "client" not in error["message"]
    assert answer.status_code == (200 if stream else 502)
    await nothing_is_left(shared)
