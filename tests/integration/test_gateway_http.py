"""What the gateway says to HTTP: to its clients, to what is none, and while Redis is away."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import signal
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from contract.ledger import Request
from contract.messages import Catalogue, Failed, FailureKind, Finished, Model, Text, TokenCounts
from tests.support.deployment import KEY, PATIENCE, eventually, free_port, spawn
from tests.support.gateway_alone import (
    CHAT,
    Rig,
    another_gateway,
    asking,
    kill,
    later_redis,
    rig,
    spoken,
    text_of,
)
from tests.support.keys import keys
from tests.support.scripted_worker import Answering, answering_all, scripted_worker, words

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = f"""
maxBody = 1

[bot]
fast = "Claude-Haiku-3"
"openai/gpt" = "GPT-4o"

[[accessTokens]]
key = "{KEY}"

[[accessTokens]]
key = "sk-old"
expires = 2020-01-01

[[accessTokens]]
key = "sk-bound"
models = ["fast"]
"""

CATALOGUE = Catalogue(1.0, (Model("Claude-Haiku-3", 1_700_000_000, "Anthropic"),))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("http"), CONFIG, key=None) as running:
        await running.worker.publish_catalogue(CATALOGUE)
        yield running


def assert_proper_error(response: httpx.Response, status: int, code: str | None = None) -> str:
    """The shape that OpenAI's schema asks for, and the headers that every answer has."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["x-request-id"]
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    if code is not None:
        assert error["code"] == code
    return str(error["message"])


async def test_the_models_are_the_aliases(shared: Rig) -> None:
    async with shared.gateway.http() as http:

        async def known() -> bool:
            return b"Anthropic" in (await http.get("/v1/models")).content

        await eventually(known, "the catalogue")
        answer = (await http.get("/v1/models")).json()

    assert answer["object"] == "list"
    assert [model["id"] for model in answer["data"]] == ["fast", "openai/gpt"]
    assert answer["data"][0]["created"] == 1_700_000_000
    assert all(model["object"] == "model" for model in answer["data"])


@pytest.mark.parametrize(
    ("path", "model"),
    [
        pytest.param("/v1/models/fast", "fast", id="plain"),
        pytest.param("/models/FAST", "fast", id="in capitals, without v1"),
        pytest.param("/v1/models/openai/gpt", "openai/gpt", id="with a slash"),
        pytest.param("/v1/models/openai%2Fgpt", "openai/gpt", id="with an encoded slash"),
        pytest.param("/v1//models/fast/", "fast", id="with slashes to spare"),
    ],
)
async def test_a_model_is_shown(shared: Rig, path: str, model: str) -> None:
    async with shared.gateway.http() as http:
        answer = await http.get(path)

    assert answer.status_code == 200
    assert answer.json()["id"] == model


async def test_an_unknown_model_is_a_404_that_names_the_nearest(shared: Rig) -> None:
    async with shared.gateway.http() as http:
        shown = await http.get("/v1/models/fastt")
        asked = await http.post(CHAT, json=asking(model="fastt"))

    assert "'fast'" in assert_proper_error(shown, 404, "model_not_found")
    assert "'fast'" in assert_proper_error(asked, 404, "model_not_found")


async def test_a_client_that_is_bound_to_some_models_gets_no_other(shared: Rig) -> None:
    async with shared.gateway.http(key="sk-bound") as http:
        refused = await http.post(CHAT, json=asking(model="openai/gpt"))
        answering = asyncio.create_task(shared.worker.take(words))
        allowed = await http.post(CHAT, json=asking(model="FAST"))

    assert_proper_error(refused, 404, "model_not_found")
    assert allowed.status_code == 200
    assert (await answering).job.model == "Claude-Haiku-3"


PRIVATE = "access-control-request-private-network"


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/models", "/", "/nowhere", "/v1/models/x/y"]
)
async def test_a_browser_may_ask_before_it_has_a_key(shared: Rig, path: str) -> None:
    asked = "authorization, content-type, x-stainless-os, x-stainless-retry-count"

    async with shared.gateway.http(key=None) as http:
        answer = await http.options(path, headers={"access-control-request-headers": asked})

    assert answer.status_code == 204
    assert answer.headers["access-control-allow-headers"] == asked
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(("asked", "told"), [({}, None), ({PRIVATE: "true"}, "true")])
async def test_a_public_page_may_ask_a_server_of_its_users_network(
    shared: Rig, asked: dict[str, str], told: str | None
) -> None:
    async with shared.gateway.http(key=None) as http:
        answer = await http.options(CHAT, headers=asked)

    assert answer.headers.get("access-control-allow-private-network") == told


async def test_a_browser_that_names_no_headers_may_use_the_usual_ones(shared: Rig) -> None:
    async with shared.gateway.http(key=None) as http:
        answer = await http.options(CHAT)

    assert "authorization" in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        pytest.param(
            "GET", "/v1/models", {"headers": {"authorization": "Bearer no"}}, 401, id="401"
        ),
        pytest.param("POST", CHAT, {"headers": {"authorization": "Bearer no"}}, 401, id="401 chat"),
        pytest.param("GET", "/v1/embeddings", {}, 404, id="unknown route"),
        pytest.param("POST", "/v1/v1/chat/completions", {}, 404, id="v1 twice"),
        pytest.param("GET", CHAT, {}, 405, id="wrong method"),
        pytest.param("BREW", "/v1/models", {}, 405, id="unknown method"),
        pytest.param("DELETE", "/v1/models/fast", {}, 405, id="no deleting"),
        pytest.param("POST", CHAT, {"content": b"{"}, 400, id="not JSON"),
        pytest.param("POST", CHAT, {"content": b" " * 1_100_000}, 413, id="too large"),
        pytest.param(
            "POST",
            CHAT,
            {"content": b"{}", "headers": {"content-encoding": "br"}},
            415,
            id="compressed otherwise",
        ),
    ],
)
async def test_every_error_has_openais_shape_and_the_common_headers(
    shared: Rig, method: str, path: str, options: dict[str, Any], status: int
) -> None:
    async with shared.gateway.http() as http:
        answer = await http.request(method, path, **options)

    assert_proper_error(answer, status)
    if status == 405:
        assert "OPTIONS" in answer.headers["allow"]


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress, zstd.compress])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param(CHAT, asking(model="fast"), id="chat completions"),
        pytest.param("/v1/completions", {"model": "fast", "prompt": "hello"}, id="completions"),
        pytest.param("/v1/responses", {"model": "fast", "input": "hello"}, id="responses"),
        pytest.param("/v1/messages", asking(model="fast", max_tokens=9), id="messages"),
        pytest.param("/responses", {"model": "fast", "input": "x" * 200_000}, id="large"),
    ],
)
async def test_a_body_may_be_compressed(
    shared: Rig, path: str, body: dict[str, Any], compress: Callable[[bytes], bytes]
) -> None:
    encoding = {gzip.compress: "gzip", zlib.compress: "deflate"}.get(compress, "zstd")
    content = compress(json.dumps(body).encode())
    answering = asyncio.create_task(shared.worker.take(words))

    async with shared.gateway.http() as http:
        answer = await http.post(path, content=content, headers={"content-encoding": encoding})

    await answering
    assert answer.status_code == 200
    assert "one two three" in answer.text


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_an_answer_has_the_common_headers_too(shared: Rig, stream: bool) -> None:
    answering = asyncio.create_task(shared.worker.take(words))

    async with shared.gateway.http() as http:
        answer = await http.post(
            CHAT, json=asking(model="fast", stream=stream), headers={"x-request-id": "mine-1"}
        )

    await answering
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-request-id"] == "mine-1"
    if stream:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-cache"
        assert answer.headers["x-accel-buffering"] == "no"


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(b"x" * 10_000, id="10 kB"),
        pytest.param(b"a b", id="a space"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"a\tb", id="a tab"),
    ],
)
async def test_a_hostile_request_id_is_not_repeated(shared: Rig, given: bytes) -> None:
    async with shared.gateway.http() as http:
        answer = await http.get("/v1/models", headers={b"x-request-id": given})

    assert answer.status_code == 200
    assert answer.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"authorization": f"Bearer {KEY}"}, id="bearer"),
        pytest.param({"authorization": f"bearer {KEY}"}, id="bearer in lower case"),
        pytest.param({"authorization": KEY}, id="without a scheme"),
        pytest.param({"authorization": f"Bearer Bearer {KEY}"}, id="with the scheme twice"),
        pytest.param({"x-api-key": KEY}, id="x-api-key"),
        pytest.param({"api-key": KEY}, id="api-key"),
        pytest.param({"authorization": "Bearer", "api-key": KEY}, id="beside an empty bearer"),
    ],
)
async def test_a_key_is_taken_from_any_header_that_clients_use(
    shared: Rig, headers: dict[str, str]
) -> None:
    async with shared.gateway.http(key=None) as http:
        assert (await http.get("/v1/models", headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({}, id="none"),
        pytest.param({"authorization": "Bearer sk-wrong"}, id="wrong"),
        pytest.param({"authorization": "Bearer sk-old"}, id="expired"),
        pytest.param({"authorization": f"Bearer sk-wrong, Bearer {KEY}"}, id="two in one"),
        pytest.param({b"authorization": b"Bearer \xff\xfe"}, id="not UTF-8"),
        pytest.param({"x-api-key": "sk-wrong", "api-key": KEY}, id="the wrong one first"),
    ],
)
async def test_any_other_key_is_a_401(shared: Rig, headers: Any) -> None:
    async with shared.gateway.http(key=None) as http:
        answer = await http.get("/v1/models", headers=headers)

    assert "sk-" not in assert_proper_error(answer, 401, "invalid_api_key")


async def test_without_access_tokens_nobody_needs_a_key(tmp_path: Path) -> None:
    async with rig(tmp_path, key=None) as own, own.gateway.http(key=None) as http:
        models = await http.get("/v1/models")
        answering = asyncio.create_task(own.worker.take(words))
        answer = await http.post(CHAT, json=asking())

        assert models.status_code == answer.status_code == 200
        assert (await answering).job.client == "open"
        assert "no access tokens" in own.gateway.child.output()


async def a_megabyte_and_a_half() -> AsyncIterator[bytes]:
    for _ in range(24):
        yield b" " * 65_536


async def forty_megabytes() -> AsyncIterator[bytes]:
    for _ in range(40):
        yield b" " * 1_000_000


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b" " * 1_500_000, id="declared"),
        pytest.param(a_megabyte_and_a_half, id="chunked"),
    ],
)
async def test_a_body_over_the_limit_is_told_so_and_not_cut_off(shared: Rig, content: Any) -> None:
    async with shared.gateway.http() as http:
        answer = await http.post(CHAT, content=content() if callable(content) else content)

    assert_proper_error(answer, 413, "request_too_large")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(lambda: b" " * 40_000_000, id="declared"),
        pytest.param(forty_megabytes, id="chunked"),
    ],
)
async def test_a_body_of_forty_megabytes_is_not_swallowed(shared: Rig, content: Any) -> None:
    async with shared.gateway.http() as http:
        # The client may be cut off before it reads why.
        with contextlib.suppress(httpx.TransportError):
            refused = await http.post(CHAT, content=content())
            assert_proper_error(refused, 413)
            assert refused.headers["connection"] == "close"

        assert (await http.get("/healthz")).status_code == 200


DEEP = b"[" * 100_000
MESSAGES = b'"messages": [{"role": "user", "content": "hi"}]'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="half"),
        pytest.param(b"\xff\xfe{}", id="not UTF-8"),
        pytest.param(b'{"model": "fast", "messages": "\xc3"}', id="half a letter"),
        pytest.param(DEEP, id="deep"),
        pytest.param(b'{"x": ' + DEEP + b"]" * 100_000 + b"}", id="deep, in an unknown field"),
        pytest.param(b'{"model": "fast", "messages": ' + DEEP, id="deep, in the messages"),
        pytest.param(b'{"model": "fast", "temperature": NaN, ' + MESSAGES + b"}", id="NaN"),
        pytest.param(b'{"model": "fast", "temperature": 1e999, ' + MESSAGES + b"}", id="1e999"),
        pytest.param(b'{"model": "a\\nb", ' + MESSAGES + b"}", id="a model of two lines"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"\\u0000"', id="a string"),
        pytest.param(b"1" * 100_000, id="a number of 100,000 digits"),
    ],
)
async def test_nonsense_is_a_400(shared: Rig, body: bytes) -> None:
    async with shared.gateway.http() as http:
        answer = await http.post(CHAT, content=body)

    assert_proper_error(answer, 400)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "x"])
async def test_a_wrong_content_type_is_forgiven(shared: Rig, content_type: str) -> None:
    answering = asyncio.create_task(shared.worker.take(words))
    body = b'{"model": "fast", ' + MESSAGES + b"}"

    async with shared.gateway.http() as http:
        answer = await http.post(CHAT, content=body, headers={"content-type": content_type})

    await answering
    assert answer.status_code == 200


async def test_a_body_that_comes_byte_by_byte_is_read(shared: Rig) -> None:
    answering = asyncio.create_task(shared.worker.take(words))
    body = b'{"model": "fast", ' + MESSAGES + b"}"

    async def dripping() -> AsyncIterator[bytes]:
        for byte in body:
            yield bytes([byte])
            await asyncio.sleep(0)

    async with shared.gateway.http() as http:
        answer = await http.post(CHAT, content=dripping())

    await answering
    assert answer.json()["choices"][0]["message"]["content"] == "one two three "


AUTH = b"Authorization: Bearer " + KEY.encode() + b"\r\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", id="TLS"),
        pytest.param(b"GET /\r\n\r\n", id="HTTP/0.9"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"x-%d: y\r\n" % n for n in range(3_000)),
            id="three thousand headers",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\nx: " + b"y" * 1_000_000, id="a huge header"),
        pytest.param(b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", id="a long URL"),
        pytest.param(
            b"POST " + CHAT.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
            id="a negative length",
        ),
        pytest.param(
            b"POST " + CHAT.encode() + b" HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 99,
            id="an absurd length",
        ),
        pytest.param(
            b"POST "
            + CHAT.encode()
            + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            + AUTH
            + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            id="a chunk without a size",
        ),
    ],
)
async def test_what_is_no_http_is_refused_and_hurts_nobody(
    shared: Rig, request_bytes: bytes
) -> None:
    answer = await spoken(shared.gateway, request_bytes + b"\r\n\r\n")

    assert not answer.split(b"\r\n")[0].endswith(b"200 OK")
    assert b" 500 " not in answer.split(b"\r\n")[0]
    async with shared.gateway.http() as http:
        assert (await http.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), ("/", 200), ("/v1/models", 200), ("/nope", 404)]
)
async def test_head_is_get_without_a_body(shared: Rig, path: str, status: int) -> None:
    async with shared.gateway.http() as http:
        answer = await http.head(path)

    assert answer.status_code == status
    assert answer.content == b""
    assert int(answer.headers["content-length"]) > 0
    assert answer.headers["x-request-id"]


async def test_the_metrics_move_and_prometheus_can_read_them(shared: Rig) -> None:
    before = await shared.metric("poe2gpt_answers_total", {"outcome": "ok"})
    first = await shared.metric("poe2gpt_first_text_seconds_count")
    answering = asyncio.create_task(shared.worker.take(words))

    async with shared.gateway.http() as http:
        await http.post(CHAT, json=asking(model="fast"))
        families = list(text_string_to_metric_families((await http.get("/metrics")).text))

    await answering
    assert len(families) > 10
    # A client has its answer before that is counted.
    await eventually(lambda: shared.shows("poe2gpt_active_requests", 0), "the end")
    assert await shared.metric("poe2gpt_answers_total", {"outcome": "ok"}) == before + 1
    assert await shared.metric("poe2gpt_first_text_seconds_count") == first + 1
    assert await shared.metric("poe2gpt_workers") == 1
    assert await shared.metric("poe2gpt_tokens", {"state": "free"}) == 1


async def test_a_gateway_counts_the_points_of_all_gateways(shared: Rig) -> None:
    spent = Request(job="j", client="1", name="ann", model="dear", settled=7)

    async def is_counted() -> bool:
        # Again and again: only what is written after the gateway's first look counts.
        await shared.redis.xadd(keys.ledger, {"r": msgspec.msgpack.encode(spent)})
        labels = {"key": "ann", "model": "dear"}
        return await shared.metric("poe2gpt_points_total", labels) > 0

    await eventually(is_counted, "the points")
    assert await shared.metric("poe2gpt_points_total", {"key": "ann"}) % 7 == 0


async def test_nothing_that_a_client_said_is_logged(shared: Rig) -> None:
    answering = asyncio.create_task(shared.worker.take(words))

    async with shared.gateway.http() as http:
        await http.post(CHAT, json=asking("canary-prompt", model="fast"))
        await http.post(CHAT, json=asking("canary-prompt", model="canary-model"))
        await http.post(CHAT, content=b'{"model": "fast", "messages": "canary-prompt"}')
        await http.get("/canary-path?api_key=canary-query")

    await answering
    log = shared.gateway.child.output()
    assert '"outcome":"ok"' in log
    assert "canary" not in log
    assert KEY not in log


async def test_it_is_ready_only_with_a_worker(tmp_path: Path) -> None:
    async with later_redis(tmp_path) as server:
        await server.start()
        async with (
            another_gateway(tmp_path, server.url) as gateway,
            gateway.http(key=None) as http,
            Redis.from_url(server.url, protocol=2) as redis,
        ):

            async def told(redis: bool, workers: int) -> bool:
                answer = await http.get("/readyz")
                told = answer.json()
                assert answer.status_code == (200 if told["workers"] else 503)
                return (told["redis"], told["workers"]) == (redis, workers)

            await eventually(lambda: told(redis=True, workers=0), "a look at Redis")
            alive = await http.get("/healthz")
            async with scripted_worker(redis):
                await eventually(lambda: told(redis=True, workers=1), "a look at the worker")

    assert alive.status_code == 200


async def test_whoever_asks_whether_it_is_ready_asks_nothing_of_redis(shared: Rig) -> None:
    async def looks() -> int:
        stats: dict[str, Any] = await shared.redis.info("commandstats")
        return int(stats["cmdstat_setrange"]["calls"])

    before = await looks()

    async with shared.gateway.http(key=None) as http:
        for _ in range(300):
            assert (await http.get("/readyz")).status_code == 200

    assert await looks() - before < 100


async def refused_for_now(http: httpx.AsyncClient, **more: Any) -> None:
    """It says at once that it cannot, and when to come again."""
    answer = await http.post(CHAT, json=asking(**more), timeout=3)
    assert_proper_error(answer, 503, "unavailable")
    assert 1 <= int(answer.headers["retry-after"]) <= 5


async def answered(own: Rig, http: httpx.AsyncClient) -> bool:
    """Ask, and answer, and tell whether the two met."""
    async with answering_all(own.worker, words):
        return (await http.post(CHAT, json=asking())).status_code == 200


async def test_a_frozen_redis_is_a_503_and_then_it_goes_on(tmp_path: Path) -> None:
    async with rig(tmp_path) as own, own.gateway.http() as http:
        assert own.server.child is not None
        own.server.child.send(signal.SIGSTOP)

        await asyncio.gather(*(refused_for_now(http, stream=n % 2 == 0) for n in range(60)))
        ready = await http.get("/readyz", timeout=3)
        alive = await http.get("/healthz", timeout=3)
        async with own.gateway.http(key="sk-wrong") as stranger:
            unknown = await stranger.post(CHAT, json=asking(), timeout=3)
        own.server.child.send(signal.SIGCONT)

        assert (ready.status_code, ready.json()["redis"]) == (503, False)
        assert alive.status_code == 200
        assert_proper_error(unknown, 401)

        async def nothing_waits() -> bool:
            return await own.redis.hget(keys.totals, "waiting") in (None, b"0")

        await eventually(nothing_waits, "the cancellation of what was refused")
        await eventually(lambda: answered(own, http), "an answer")
        await eventually(lambda: own.shows("poe2gpt_active_requests", 0), "the end")
        assert "Traceback" not in own.gateway.child.output()


async def test_without_redis_it_starts_and_waits_for_it(tmp_path: Path) -> None:
    async with (
        later_redis(tmp_path) as server,
        another_gateway(tmp_path, server.url) as gateway,
        gateway.http() as http,
    ):
        await refused_for_now(http)
        assert (await http.get("/readyz")).status_code == 503
        assert (await http.get("/v1/models")).status_code == 200

        await server.start()
        async with (
            Redis.from_url(server.url, protocol=2) as redis,
            scripted_worker(redis) as worker,
        ):
            await eventually(lambda: gateway.answers("/readyz"), "readiness")
            assert await answered(Rig(gateway, server, redis, worker), http)


async def test_it_ends_rather_than_live_on_without_its_subscription(tmp_path: Path) -> None:
    nowhere = f"redis://{'x' * 64}/0"  # no name in DNS may be so long: a fault of no network
    file = tmp_path / "config.toml"
    file.write_text("")
    child = await spawn(
        tmp_path / "gateway.log",
        *(sys.executable, "-m", "poe2gpt", "gateway", "--config", str(file)),
        *("--host", "127.0.0.1", "--port", str(free_port()), "--redis-url", nowhere),
        env={"ACCESS_TOKENS": KEY},
    )
    try:
        async with asyncio.timeout(PATIENCE):
            status = await child.process.wait()
    finally:
        await kill(child)

    assert status == 1
    assert "a background task has ended" in child.output()


async def test_streams_outlive_a_redis_that_dies_and_comes_back(tmp_path: Path) -> None:
    async with rig(tmp_path, "statusHold = 0") as own, own.gateway.http() as http:
        async with http.stream("POST", CHAT, json=asking(stream=True)) as stream:
            answering = await own.worker.take()
            await answering.begin()
            await answering.say(Text("before "))

            assert own.server.child is not None
            await own.server.child.stop()
            await refused_for_now(http)
            await own.server.start()
            await own.worker.beat()
            await answering.log_only(Text("meanwhile "))
            await answering.say(Text("after"), Finished())

            assert await text_of(stream) == "before meanwhile after"
        assert await answered(own, http)


async def test_a_password_of_redis_is_in_no_log(tmp_path: Path) -> None:
    async with later_redis(tmp_path) as server:
        url = server.url.replace("//", "//:s3cret-canary@")
        async with another_gateway(tmp_path, url) as gateway, gateway.http() as http:
            await refused_for_now(http)
            # Redis is there now, and wants another password.
            server.url = url.replace("s3cret-canary", "another")
            await server.start("--requirepass", "another")
            await refused_for_now(http)

            assert "s3cret" not in gateway.child.output()


@pytest.mark.parametrize(
    ("tokens", "status", "code"),
    [
        pytest.param(TokenCounts(parked=2), 402, "insufficient_quota", id="no points"),
        pytest.param(TokenCounts(disabled=2), 503, "no_upstream_token", id="all refused"),
    ],
)
async def test_what_no_token_can_answer_is_refused_at_once(
    tmp_path: Path, tokens: TokenCounts, status: int, code: str
) -> None:
    async with rig(tmp_path) as own, own.gateway.http() as http:
        await own.worker.beat(tokens)

        async def seen() -> bool:
            (state,) = (k for k in ("parked", "disabled") if getattr(tokens, k))
            return await own.metric("poe2gpt_tokens", {"state": state}) == 2

        await eventually(seen, "the worker's report")
        answer = await http.post(CHAT, json=asking())

        assert_proper_error(answer, status, code)


async def test_an_empty_key_refuses_nobody_while_a_good_one_is_between_owners(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path) as own, own.gateway.http() as http:
        await own.worker.beat(TokenCounts(parked=1), others=1)

        async def seen() -> bool:
            return await own.metric("poe2gpt_tokens", {"state": "parked"}) == 1

        await eventually(seen, "the worker's report")
        asked = asyncio.create_task(http.post(CHAT, json=asking()))
        await own.worker.take(words)

        assert (await asked).status_code == 200


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_who_waits_when_the_last_token_goes_bad_waits_no_longer(
    tmp_path: Path, stream: bool
) -> None:
    async with rig(tmp_path) as own, own.gateway.http() as http:
        asked = asyncio.create_task(http.post(CHAT, json=asking(stream=stream)))

        async def waiting() -> bool:
            return await own.redis.hget(keys.totals, "waiting") == b"1"

        await eventually(waiting, "the job in the queue")
        await own.worker.beat(TokenCounts(disabled=2))
        answer = await asked

        assert "Poe refuses every key of this deployment." in answer.text

        def told() -> list[str]:
            return [line for line in own.gateway.child.output().splitlines() if "no_token" in line]

        (line,) = await eventually(told, "the line in the log")
        assert f'"status":{answer.status_code}' in line

        async def nothing_waits() -> bool:
            return await own.redis.hget(keys.totals, "waiting") == b"0"

        await eventually(nothing_waits, "the cancellation")


async def test_what_another_version_tells_does_not_stop_the_gateway(tmp_path: Path) -> None:
    async with rig(tmp_path) as own, own.gateway.http() as http:
        await own.redis.zadd(keys.workers, {"w-new": 10**15})
        await own.redis.set(keys.worker("w-new"), b"\x93\x01\x02\x03")
        await own.redis.set(keys.catalogue, b"nonsense")

        await eventually(lambda: "cannot read" in own.gateway.child.output(), "a look at it")

        assert await own.gateway.answers("/readyz")
        assert await answered(own, http)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_an_early_failure_has_its_real_status(shared: Rig, stream: bool) -> None:
    async def fail(answering: Answering) -> None:
        await answering.begin()
        await answering.say(Failed(FailureKind.RATE_LIMITED, "slowly", 7.2, charged=True))

    answering = asyncio.create_task(shared.worker.take(fail))

    async with shared.gateway.http() as http:
        answer = await http.post(CHAT, json=asking(model="fast", stream=stream))

    await answering
    assert_proper_error(answer, 429, "rate_limit_exceeded")
    assert answer.headers["retry-after"] == "8"
    assert answer.headers["x-should-retry"] == "false"
