"""nginx as the project configures it, before a gateway that does as it is told."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from .conftest import Edge, StartNginx, configure, free_port, nginx_command

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
StartGateway = Callable[[Handler], Awaitable[int]]


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, str | None]:
        error = json.loads(self.body)["error"]
        assert isinstance(error, dict)
        return error


@pytest.fixture
async def start_gateway() -> AsyncIterator[StartGateway]:
    async with AsyncExitStack() as running:

        async def start(handler: Handler) -> int:
            app = web.Application(client_max_size=64 << 20)
            app.router.add_get("/_key", no_key_is_wrong)
            app.router.add_route("*", "/{path:.*}", handler)
            runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
            await runner.setup()
            running.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            return int(runner.addresses[0][1])

        yield start


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


async def say(edge: Edge, request: str) -> Answer:
    """Send exactly these bytes, and read one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(request.encode())
    head = await reader.readuntil(b"\r\n\r\n")
    status, *lines = head.decode().strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    body = await reader.readexactly(int(headers["content-length"]))
    writer.close()
    return Answer(int(status.split()[1]), headers, body)


async def echo(request: web.Request) -> web.Response:
    body = await request.read()
    seen = {"path": request.raw_path, "headers": dict(request.headers), "size": len(body)}
    return web.json_response(seen)


async def no_key_is_wrong(_: web.Request) -> web.Response:
    return web.Response(status=204)


async def break_off(request: web.Request) -> web.StreamResponse:
    await request.read()
    assert request.transport
    request.transport.abort()
    return web.Response()


def test_nginx_accepts_the_configuration(tmp_path: Path) -> None:
    prefix = configure(tmp_path, free_port(), (free_port(),), {})

    tried = subprocess.run(
        [*nginx_command(prefix), "-t"], capture_output=True, text=True, check=False
    )

    assert tried.returncode == 0, tried.stderr
    assert "[warn]" not in tried.stderr


async def test_every_event_reaches_the_client_before_the_next_is_written(
    start_nginx: StartNginx, start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    arrived = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        for number in range(20):
            arrived.clear()
            await response.write(b"data: %d\n\n" % number)
            await arrived.wait()
        return response

    edge = await start_nginx(await start_gateway(stream))

    async with client.post(f"{edge.url}/v1/chat/completions", json={}) as response:
        received = []
        async for event in response.content.iter_any():
            received.append(event)
            arrived.set()

    assert received == [b"data: %d\n\n" % number for number in range(20)]
    assert response.headers["X-Accel-Buffering"] == "no"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/v1/chat/completions", id="plain"),
        pytest.param("/v1//chat/completions", id="double slash"),
        pytest.param("//v1/chat/completions/", id="trailing slash"),
        pytest.param("/v1/models/org%2Fmodel%20x?a=%2F", id="percent-encoded"),
        pytest.param("/healthz", id="health"),
        pytest.param("/v1/metrics-of-mine", id="not quite the metrics"),
    ],
)
async def test_a_path_reaches_the_gateway_unchanged(
    start_nginx: StartNginx, start_gateway: StartGateway, path: str
) -> None:
    edge = await start_nginx(await start_gateway(echo))

    answer = await say(edge, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.status == 200
    assert b'"path": "%s"' % path.encode() in answer.body


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "//metrics",
        "/metrics/",
        "/metrics?x=1",
        "/v1/metrics",
        "/%6Detrics",
        "/v1/../metrics",
    ],
)
async def test_the_metrics_are_hidden(
    start_nginx: StartNginx, start_gateway: StartGateway, path: str
) -> None:
    edge = await start_nginx(await start_gateway(echo))

    answer = await say(edge, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")

    assert answer.status == 404
    assert answer.error["code"] == "not_found"


@pytest.mark.parametrize(
    ("request_text", "status", "kind"),
    [
        pytest.param(
            "POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 33554433\r\n\r\n",
            413,
            "invalid_request_error",
            id="body one byte too large",
        ),
        pytest.param(
            f"GET /v1/x HTTP/1.1\r\nHost: x\r\nX-Large: {'x' * 40_000}\r\n\r\n",
            431,
            "invalid_request_error",
            id="header too large",
        ),
        pytest.param(
            f"GET /{'x' * 40_000} HTTP/1.1\r\nHost: x\r\n\r\n",
            414,
            "invalid_request_error",
            id="url too long",
        ),
        pytest.param("GET /v1/x HTTP/1.1\r\n\r\n", 400, "invalid_request_error", id="no host"),
        pytest.param("NONSENSE\r\n\r\n", 400, "invalid_request_error", id="not HTTP"),
        pytest.param(
            "GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n",
            502,
            "server_error",
            id="no gateway",
        ),
    ],
)
async def test_an_error_of_nginx_has_the_shape_of_openai_s(
    start_nginx: StartNginx, request_text: str, status: int, kind: str
) -> None:
    edge = await start_nginx(free_port())

    answer = await say(edge, request_text)

    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert len(answer.headers["x-request-id"]) == 32
    assert answer.error.keys() == {"message", "type", "param", "code"}
    assert answer.error["type"] == kind
    assert (answer.headers.get("retry-after") == "2") is (status == 502)


@pytest.mark.parametrize(
    ("request_text", "status", "kind"),
    [
        pytest.param(
            "POST //v1/messages?beta=true HTTP/1.1\r\nHost: x\r\nContent-Length: 33554433\r\n\r\n",
            413,
            "request_too_large",
            id="by its path",
        ),
        pytest.param(
            "GET /v1/models HTTP/1.1\r\nHost: x\r\nAnthropic-Version: 2023-06-01\r\n\r\n",
            502,
            "api_error",
            id="by its header",
        ),
    ],
)
async def test_an_error_of_nginx_has_the_shape_of_anthropic_s_for_its_clients(
    start_nginx: StartNginx, request_text: str, status: int, kind: str
) -> None:
    edge = await start_nginx(free_port())

    answer = await say(edge, request_text)

    told = json.loads(answer.body)
    assert answer.status == status
    assert told.keys() == {"type", "error", "request_id"}
    assert (told["type"], told["error"]["type"]) == ("error", kind)
    assert told["request_id"] == answer.headers["request-id"] == answer.headers["x-request-id"]


async def test_an_error_of_the_gateway_passes_unchanged(
    start_nginx: StartNginx, start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=503, text="of the gateway", headers={"Retry-After": "7"})

    edge = await start_nginx(await start_gateway(refuse))

    async with client.get(f"{edge.url}/v1/models") as response:
        text = await response.text()

    assert (response.status, text) == (503, "of the gateway")
    assert response.headers["Retry-After"] == "7"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param("req_0aZ.-", True, id="a plain one"),
        pytest.param("x" * 65, False, id="too long"),
        pytest.param('"quoted"', False, id="one that would break a log"),
        pytest.param(None, False, id="none"),
    ],
)
async def test_a_request_has_one_id_and_the_gateway_knows_it(
    start_nginx: StartNginx,
    start_gateway: StartGateway,
    client: aiohttp.ClientSession,
    given: str | None,
    kept: bool,
) -> None:
    edge = await start_nginx(await start_gateway(echo))
    headers = {"X-Request-ID": given} if given else {}

    async with client.get(f"{edge.url}/v1/models", headers=headers) as response:
        seen = (await response.json())["headers"]["X-Request-ID"]

    assert (seen == given) is kept
    assert kept or len(seen) == 32


async def test_a_post_is_never_sent_to_a_second_gateway(
    start_nginx: StartNginx, start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    executed: list[str] = []

    async def count(request: web.Request) -> web.StreamResponse:
        executed.append(request.method)
        return await break_off(request)

    edge = await start_nginx(await start_gateway(count), await start_gateway(count))

    async with client.post(f"{edge.url}/v1/chat/completions", json={}) as response:
        error = (await response.json())["error"]

    assert executed == ["POST"]
    assert (response.status, error["type"]) == (502, "server_error")
    assert response.headers["X-Should-Retry"] == "false"


async def test_a_post_that_no_gateway_has_read_may_be_sent_again_by_the_client(
    start_nginx: StartNginx, client: aiohttp.ClientSession
) -> None:
    edge = await start_nginx(free_port())

    async with client.post(f"{edge.url}/v1/x", json={}) as response:
        pass

    assert response.status == 502
    assert "X-Should-Retry" not in response.headers


async def test_a_gateway_that_is_gone_is_passed_over(
    start_nginx: StartNginx, start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    edge = await start_nginx(free_port(), await start_gateway(echo))

    statuses = []
    for _ in range(8):
        async with client.post(f"{edge.url}/v1/chat/completions", json={}) as response:
            statuses.append(response.status)

    assert statuses == [200] * 8


async def test_a_gateway_is_told_that_its_client_has_left(
    start_nginx: StartNginx, start_gateway: StartGateway
) -> None:
    reached, left = asyncio.Event(), asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        raise AssertionError

    edge = await start_nginx(await start_gateway(wait))
    _, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(b"GET /v1/x HTTP/1.1\r\nHost: x\r\n\r\n")
    await reached.wait()

    writer.close()

    async with asyncio.timeout(10):
        await left.wait()


async def test_a_body_that_stops_coming_is_given_up_and_the_gateway_told(
    start_nginx: StartNginx, start_gateway: StartGateway
) -> None:
    read, left = asyncio.Event(), asyncio.Event()

    async def note(request: web.Request) -> web.Response:
        try:
            await request.read()
            read.set()
        finally:
            left.set()
        return web.Response()

    shorter = {"client_body_timeout 15s;": "client_body_timeout 200ms;"}
    edge = await start_nginx(await start_gateway(note), edits=shorter)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")

    received = await reader.read()

    writer.close()
    async with asyncio.timeout(10):
        await left.wait()
    assert received == b""
    assert not read.is_set()


async def test_a_large_body_arrives_whole(
    start_nginx: StartNginx, start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    edge = await start_nginx(await start_gateway(echo))

    async with client.post(f"{edge.url}/v1/x", data=BytesIO(bytes(32 << 20))) as response:
        seen = await response.json()

    assert seen["size"] == 32 << 20


async def test_too_many_connections_from_one_address_are_refused_as_a_rate_limit(
    start_nginx: StartNginx, start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        await asyncio.Event().wait()
        return response

    one = {"limit_conn poe2gpt_address 4096;": "limit_conn poe2gpt_address 1;"}
    edge = await start_nginx(await start_gateway(stream), edits=one)

    async with client.get(f"{edge.url}/v1/x") as first, client.get(f"{edge.url}/v1/x") as second:
        error = (await second.json())["error"]

    assert (first.status, second.status) == (200, 429)
    assert error["type"] == "rate_limit_error"
    assert second.headers["Retry-After"] == "2"


async def test_no_key_is_logged(
    start_nginx: StartNginx, start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    edge = await start_nginx(await start_gateway(echo))
    headers = {"Authorization": "Bearer top-secret", "X-Api-Key": "top-secret"}

    url = f"{edge.url}/v1/models?api_key=top-secret"
    async with client.get(url, headers=headers) as response:
        await response.read()
    await edge.stop()

    log = edge.log.read_text()
    assert '"path":"/v1/models"' in log
    assert "top-secret" not in log


async def test_nobody_claims_another_s_address(
    start_nginx: StartNginx, start_gateway: StartGateway, client: aiohttp.ClientSession
) -> None:
    edge = await start_nginx(await start_gateway(echo))

    claim = {"X-Forwarded-For": "192.0.2.1"}
    async with client.get(f"{edge.url}/v1/models", headers=claim) as response:
        seen = (await response.json())["headers"]["X-Forwarded-For"]

    assert seen == "127.0.0.1"
