"""nginx and a real gateway must agree on where a request ends, and on who is to blame for one."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.deployment import KEY, PATIENCE
from tests.support.gateway_alone import CHAT, Rig, asking, rig
from tests.support.scripted_worker import answering_all, words

from .conftest import Edge, configure, free_port, running_nginx

pytestmark = pytest.mark.asyncio(loop_scope="module")

LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""After this nginx closes the connection."""
POST = b"POST %b HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %b\r\n" % (
    CHAT.encode(),
    KEY.encode(),
)
HIDDEN = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
"""What nobody may reach through nginx, least of all inside the body of another request."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with (
        rig(tmp_path_factory.mktemp("behind")) as running,
        answering_all(running.worker, words),
    ):
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(shared: Rig, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    port = free_port()
    prefix = configure(tmp_path_factory.mktemp("nginx"), port, (shared.gateway.port,), {})
    async with running_nginx(prefix, port) as running:
        yield running


async def answers(edge: Edge, request: bytes) -> bytes:
    """Say these bytes, and return all that is said until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    writer.write(request)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()


def statuses(said: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


@pytest.mark.parametrize(
    ("head", "body", "expected"),
    [
        pytest.param(
            b"Content-Length: %d\r\nTransfer-Encoding: chunked" % (5 + len(HIDDEN)),
            b"0\r\n\r\n" + HIDDEN,
            [400],
            id="two framings",
        ),
        pytest.param(
            b"Content-Length: 0\r\nContent-Length: %d" % len(HIDDEN),
            HIDDEN,
            [400],
            id="two lengths",
        ),
        pytest.param(b"Transfer-Encoding: xchunked", b"0\r\n\r\n", [501], id="another encoding"),
        pytest.param(
            b"Transfer-Encoding: chunked, identity", b"0\r\n\r\n", [501], id="chunked not last"
        ),
        pytest.param(b"Transfer-Encoding : chunked", b"0\r\n\r\n", [400], id="a space too many"),
        pytest.param(b"X: a\r\n Content-Length: 5", b"", [400], id="a folded header"),
        pytest.param(
            b"Transfer-Encoding: chunked", b"0\r\nX-A: b\r\n\r\n", [400, 200], id="a trailer"
        ),
        pytest.param(
            b"Transfer-Encoding: chunked",
            b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN),
            [400, 200],
            id="an extension",
        ),
        pytest.param(
            b"Content-Length: %d" % len(HIDDEN), HIDDEN, [400, 200], id="a request as the body"
        ),
    ],
)
async def test_no_request_is_smuggled_past_nginx(
    edge: Edge, head: bytes, body: bytes, expected: list[int]
) -> None:
    said = await answers(edge, POST + head + b"\r\n\r\n" + body + LAST)

    assert statuses(said) == expected
    assert b"poe2gpt_" not in said


@pytest.mark.parametrize(
    "target",
    [
        "/metrics",
        "//v1//metrics//",
        "/%6detrics",
        "/v1%2fmetrics",
        "/metrics%2f",
        "/x/../metrics",
        "/./metrics",
        "/metrics?a",
        "/metrics#a",
        "http://x/metrics",
        "/v1/%2e/metrics",
        "/healthz/..%2fmetrics",
    ],
)
async def test_however_it_is_spelled_nobody_reads_the_metrics(edge: Edge, target: str) -> None:
    said = await answers(edge, LAST.replace(b"/healthz", target.encode()))

    assert statuses(said) == [404]


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        pytest.param(
            b"OPTIONS / HTTP/1.1\r\nAccess-Control-Request-Headers: " + b"a," * 15_000,
            204,
            id="a browser with many headers",
        ),
        pytest.param(b"GET /v1/models/" + b"a" * 31_000 + b" HTTP/1.1", 404, id="a long name"),
        pytest.param(
            b"GET / HTTP/1.1\r\n" + b"\r\n".join(b"x-%d: y" % n for n in range(1_000)),
            431,
            id="a thousand headers",
        ),
        pytest.param(b"GET / HTTP/1.1\r\nX-Request-ID: a\xff\x01", 200, id="an odd id"),
        pytest.param(b"TRACE / HTTP/1.1", 405, id="an echo"),
        pytest.param(b"GET /%ff%fe HTTP/1.1", 404, id="a path of no text"),
    ],
)
async def test_no_request_makes_nginx_think_ill_of_the_gateway(
    edge: Edge, request_bytes: bytes, expected: int
) -> None:
    key = b"\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + KEY.encode()

    said = await answers(edge, request_bytes + key + b"\r\n\r\n")

    assert statuses(said) == [expected]
    assert "[error]" not in edge.log.read_text()


@pytest.mark.parametrize("begin", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_comes_a_little_at_a_time_is_not_waited_for(
    shared: Rig, tmp_path: Path, begin: bytes
) -> None:
    port = free_port()
    shorter = {"client_header_timeout 15s;": "client_header_timeout 200ms;"}
    prefix = configure(tmp_path, port, (shared.gateway.port,), shorter)

    async with running_nginx(prefix, port):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begin)
        async with asyncio.timeout(PATIENCE):
            while not writer.is_closing():
                writer.write(b"a: b\r\n" if begin else b"\r\n")
                await asyncio.sleep(0.02)
        writer.close()


async def test_a_good_request_is_answered_all_the_same(shared: Rig, edge: Edge) -> None:
    async with shared.gateway.http() as http:
        answer = await http.post(f"{edge.url}{CHAT}", json=asking())

    assert answer.json()["choices"][0]["message"]["content"] == "one two three "
