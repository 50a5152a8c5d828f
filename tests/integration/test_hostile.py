"""A gateway without nginx before it, among those who mean it harm."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from contract.config import REDIS_URL
from gateway.config import GatewayConfig, access_token
from poe2gpt import programs
from poe2gpt.programs import Program
from tests.support.deployment import KEY, PATIENCE, Child, Gateway, eventually, free_port
from tests.support.gateway_alone import CHAT, Rig, asking, kill, rig, spoken
from tests.support.scripted_worker import answering_all, words

pytestmark = pytest.mark.asyncio(loop_scope="module")

AUTH = f"Authorization: Bearer {KEY}\r\n".encode()
BODY = json.dumps(asking()).encode()
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
POST = b"POST %b HTTP/1.1\r\nHost: x\r\n%b" % (CHAT.encode(), AUTH)
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
"""After this the gateway closes the connection."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with (
        rig(tmp_path_factory.mktemp("hostile")) as running,
        answering_all(running.worker, words),
    ):
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def impatient(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    directory = tmp_path_factory.mktemp("impatient")
    port = free_port()
    argv = (sys.executable, "-m", "tests.support.impatient_gateway")
    settings = GatewayConfig(port=port, redis_url=REDIS_URL, access_tokens=(access_token(KEY),))
    log = directory / "gateway.log"
    environment = programs.environment_without([])
    child = Child(
        await programs.start(Program("gateway", argv, environment, settings, log=log)), log
    )
    gateway = Gateway(child, port)
    await eventually(lambda: gateway.answers("/healthz"), "the gateway")
    yield gateway
    await kill(child)


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


async def assert_unharmed(running: Rig) -> None:
    """It answers, owes nobody anything, and has nothing to reproach itself with."""
    async with running.gateway.http() as http:
        answer = await http.post(CHAT, json=asking())
    assert answer.json()["choices"][0]["message"]["content"] == "one two three "

    async def idle() -> bool:
        return await running.metric("poe2gpt_active_requests") == 0

    await eventually(idle, "the end of all requests")
    log = running.gateway.child.output()
    assert "own fault" not in log
    assert "Traceback" not in log
    assert "panicked" not in log


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        pytest.param(POST + LENGTH + CHUNKED + b"\r\n" + CHUNKS, [200], id="two framings"),
        pytest.param(
            POST + b"Content-Length: 4\r\n" + CHUNKED + b"\r\n" + CHUNKS, [200], id="a short length"
        ),
        pytest.param(POST + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY, [400], id="two lengths"),
        pytest.param(
            POST + b"Content-Length: +%d\r\n\r\n" % len(BODY) + BODY, [400], id="a signed length"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS, [400], id="another encoding"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS,
            [400],
            id="chunked not last",
        ),
        pytest.param(
            POST + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS, [400], id="a space too many"
        ),
        pytest.param(
            POST.replace(b"1.1", b"1.0") + CHUNKED + b"\r\n" + CHUNKS, [400], id="chunks in 1.0"
        ),
        pytest.param(
            POST + CHUNKED + b"\r\nfffffffffffffffff\r\n" + BODY, [400], id="an endless chunk"
        ),
        pytest.param(
            POST + CHUNKED + b"\r\n%x;%b\r\n" % (len(BODY), b"a" * 200_000),
            [400],
            id="an endless extension",
        ),
        pytest.param(
            LAST.replace(b"Connection", b"X-A: b\r\n c\r\nConnection"), [400], id="a folded header"
        ),
        pytest.param(LAST.replace(b"Host: x", b"Host: x\0"), [400], id="a NUL in a header"),
        pytest.param(LAST.replace(b"Host: x", b"Host: a\rb"), [400], id="half a line end"),
    ],
)
async def test_no_request_is_hidden_in_the_body_of_another(
    shared: Rig, request_bytes: bytes, expected: list[int]
) -> None:
    answers = await spoken(shared.gateway, request_bytes + LAST)

    assert statuses(answers) == expected


@pytest.mark.parametrize("path", ["/healthz", "/nope", CHAT])
async def test_a_body_that_nobody_asked_for_is_not_taken_for_a_request(
    shared: Rig, path: str
) -> None:
    unread = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (
        path.encode(),
        len(LAST),
    )

    answers = await spoken(shared.gateway, unread + LAST + LAST)

    refused, answered = statuses(answers)
    assert 400 <= refused < 500
    assert answered == 200


async def test_requests_in_a_row_are_answered_in_a_row(shared: Rig) -> None:
    row = POST + LENGTH + b"\r\n" + BODY

    answers = await spoken(shared.gateway, row + POST + b"Content-Length: 1\r\n\r\n{" + row + LAST)

    assert statuses(answers) == [200, 400, 200, 200]


def broken_requests() -> Iterator[bytes]:
    """Good requests, cut, and with pieces of themselves and of nonsense inside."""
    dice = random.Random(8)
    good = [
        POST + LENGTH + b"\r\n" + BODY,
        POST + CHUNKED + b"\r\n" + CHUNKS,
        POST + LENGTH + b"Expect: 100-continue\r\n\r\n" + BODY,
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nAccess-Control-Request-Headers: a, b\r\n\r\n",
        b"GET http://x/v1/models/%ff?a=%00#b HTTP/1.1\r\nHost: x\r\n" + AUTH + b"\r\n",
        b"HEAD /v1/models HTTP/1.0\r\nConnection: keep-alive\r\n" + AUTH + b"\r\n",
    ]
    nonsense = [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b" ",
        b":",
        b"0\r\n\r\n",
        b"ffffffffffffffff",
    ]
    nonsense += [
        b"Content-Length: 0\r\n",
        CHUNKED,
        b"HTTP/1.1",
        b"Upgrade: websocket\r\n",
        b"%2f%00",
    ]
    for _ in range(300):
        request = dice.choice(good) + dice.choice(good)
        for _ in range(dice.randint(1, 4)):
            start = dice.randrange(len(request))
            end = start + dice.choice([0, 0, 1, 4, 30])
            request = request[:start] + dice.choice(nonsense) + request[end:]
        yield request[: dice.choice([len(request), dice.randrange(1, len(request))])]


async def test_broken_requests_break_nothing(shared: Rig) -> None:
    async def left_after(request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", shared.gateway.port)
        try:
            writer.write(request)
            # Otherwise it would rightly wait for the rest.
            writer.write_eof()
            return await closed(reader)
        except ConnectionError:
            return b""
        finally:
            writer.close()

    answers = [await left_after(request) for request in broken_requests()]

    seen = [status for answer in answers for status in statuses(answer)]
    assert {200, 400} <= set(seen)
    assert max(seen) < 500
    await assert_unharmed(shared)


NAMES = ("idempotency-key", "last-event-id", "x-queue-timeout", "authorization", "x-request-id")
NAMES += ("content-type", "content-encoding", "accept", "expect", "x-api-key", "cookie", "te")
VALUES = ["", "0", "-1", "1e999", "nan", "1_0", "-0", "9" * 400, "0-0", "1-1-1", "٣", "é"]
VALUES += [f"Bearer {KEY}", "Bearer", "Basic x", "a, b", "%0d%0a", "../..", "{}", "$" * 60_000]
VALUES += ["18446744073709551616-1", "1-18446744073709551616", "*", "'\"\\", "100-continue"]


async def test_whatever_a_header_says_it_is_the_clients_mistake(shared: Rig) -> None:
    dice = random.Random(8)
    async with shared.gateway.http() as http:
        for _ in range(150):
            chosen = {
                name: dice.choice(VALUES).encode()
                for name in dice.sample(NAMES, dice.randint(1, 3))
            }

            answer = await http.post(CHAT, json=asking(), headers=chosen)

            assert answer.status_code < 500, chosen
            assert re.fullmatch(r"[\w.:-]{1,128}", answer.headers["x-request-id"])
            if answer.status_code != 200:
                assert answer.json()["error"].keys() == {"message", "type", "param", "code"}
    await assert_unharmed(shared)


async def test_a_browsers_headers_are_repeated_within_bounds(shared: Rig) -> None:
    async with shared.gateway.http(key=None) as http:
        asked = {"access-control-request-headers": "x," * 10_000}
        answer = await http.options(CHAT, headers=asked)

    assert answer.status_code == 204
    assert sum(len(name) + len(value) for name, value in answer.headers.raw) < 4096


async def closed(reader: StreamReader) -> bytes:
    """All that still comes until the other side has closed."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    except ConnectionResetError:
        return b""


async def dribble(writer: StreamWriter, piece: bytes) -> None:
    """Send without end, slowly, but never as slowly as an idle connection would."""
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        pytest.param(b"", b"", id="nothing at all"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n", b"", id="half a head"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: x\r\n", b"a: b\r\n", id="header after header"),
        pytest.param(b"GET /", b"a", id="a URL without end"),
        pytest.param(LAST.replace(b"close", b"keep-alive"), b"", id="an idle connection"),
        pytest.param(POST + b"Content-Length: 999\r\n\r\n{", b"", id="half a body"),
        pytest.param(POST + b"Content-Length: 99999\r\n\r\n", b" ", id="a body byte by byte"),
        pytest.param(POST + CHUNKED + b"\r\n", b"1\r\n \r\n", id="a chunk for each byte"),
        pytest.param(POST + CHUNKED + b"\r\n1;", b"a", id="an extension without end"),
    ],
)
async def test_who_dawdles_is_shown_the_door(
    impatient: Gateway, begin: bytes, piece: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", impatient.port)
    writer.write(begin)
    dribbling = asyncio.create_task(dribble(writer, piece)) if piece else None

    told = await closed(reader)

    if dribbling:
        dribbling.cancel()
    writer.close()
    if begin.startswith(b"POST"):
        assert statuses(told) == [408]
        assert b'"code":"request_timeout"' in told
    assert await impatient.answers("/healthz")


def resident(pid: int) -> int:
    """Bytes of memory that a process really has."""
    [size] = re.findall(
        r"^VmRSS:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
    )
    return int(size) * 1024


async def test_crowds_that_say_nothing_cost_little_and_stop_nobody(shared: Rig) -> None:
    sizes = []
    for _ in range(4):
        async with AsyncExitStack() as crowd:
            for number in range(500):
                _, writer = await asyncio.open_connection("127.0.0.1", shared.gateway.port)
                crowd.callback(writer.close)
                begun = (
                    b"",
                    b"GET /",
                    POST,
                    POST + b"Content-Length: 1000000\r\n\r\n" + b" " * 9_000,
                )
                writer.write(begun[number % 4])
            await assert_answers(shared)
            sizes.append(resident(shared.gateway.child.pid))
        await assert_unharmed(shared)

    # The allocator keeps what the first crowds have used.
    assert sizes[3] - sizes[1] < 8 * 1024 * 1024, sizes


async def assert_answers(running: Rig) -> None:
    async with running.gateway.http() as http:
        answer = await http.post(CHAT, json=asking())
    assert answer.status_code == 200


async def test_half_a_crowd_that_leaves_midway_leaves_nothing_behind(shared: Rig) -> None:
    async def leave_midway(http: httpx.AsyncClient) -> None:
        async with http.stream("POST", CHAT, json=asking(stream=True)):
            pass

    async with shared.gateway.http() as http:
        await asyncio.gather(*(leave_midway(http) for _ in range(50)))

    await assert_unharmed(shared)
