"""The subscription, against a server that does what Redis does, and worse."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ParamSpec

import pytest
import uvloop

from gateway.queue.subscriber import Subscriber
from tests.support.deployment import eventually

SUBSCRIBED = b"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"


def message(data: bytes) -> bytes:
    return b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%d\r\n%b\r\n" % (len(data), data)


P = ParamSpec("P")


def on_uvloop(story: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test on the gateway's own event loop: its transports are stricter than asyncio's."""

    @functools.wraps(story)
    def test(*args: P.args, **kwargs: P.kwargs) -> None:
        uvloop.run(story(*args, **kwargs))

    return test


class Stage:
    """A server that says one of these lines to each connection, and the subscriber's ears."""

    def __init__(self, path: Path, lines: list[bytes]) -> None:
        self.url = f"unix://{path}"
        self.greetings: list[bytes] = []
        self.heard: list[bytes] = []
        self.gaps = 0
        self._lines = lines

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.greetings.append(await reader.read(1_000))
        last = len(self.greetings) >= len(self._lines)
        writer.write(self._lines[min(len(self.greetings), len(self._lines)) - 1])
        await writer.drain()
        if last:
            await reader.read()
        writer.close()

    def on_message(self, data: bytes) -> None:
        if data == b"bug":
            raise ValueError("a bug")
        self.heard.append(data)

    def on_gap(self) -> None:
        self.gaps += 1


@asynccontextmanager
async def subscribed(path: Path, *lines: bytes, query: str = "") -> AsyncIterator[Stage]:
    stage = Stage(path / "redis.sock", list(lines))
    server = await asyncio.start_unix_server(stage.serve, path / "redis.sock")
    subscriber = Subscriber(stage.url + query, "c", stage.on_message, stage.on_gap)
    running = asyncio.create_task(subscriber.run())
    try:
        yield stage
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()
        await server.wait_closed()


@on_uvloop
async def test_messages_come_in_order_however_they_are_cut(tmp_path: Path) -> None:
    every = SUBSCRIBED + b"".join(message(b"%d" % n) for n in range(100))

    async with subscribed(tmp_path, every) as stage:
        await eventually(lambda: len(stage.heard) == 100)

    assert stage.heard == [b"%d" % n for n in range(100)]
    assert stage.gaps == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"", id="closes at once"),
        pytest.param(SUBSCRIBED, id="closes after a while"),
        pytest.param(SUBSCRIBED + b"*3\r\n$7\r\nmess", id="closes in the middle of a message"),
        pytest.param(SUBSCRIBED + b"HTTP/1.1 400 Bad Request\r\n\r\n", id="speaks HTTP"),
        pytest.param(b"-NOAUTH Authentication required.\r\n", id="wants a password"),
        pytest.param(b"-LOADING Redis is loading the dataset in memory\r\n", id="is loading"),
        pytest.param(SUBSCRIBED + message(b"bug"), id="says what our own code fails on"),
    ],
)
@on_uvloop
async def test_whatever_goes_wrong_it_subscribes_again_and_tells_of_the_gap(
    tmp_path: Path, bad: bytes
) -> None:
    async with subscribed(tmp_path, bad, SUBSCRIBED + message(b"hello")) as stage:
        await eventually(lambda: stage.heard)

    assert stage.heard == [b"hello"]
    assert stage.gaps == 1 + bad.startswith(SUBSCRIBED)


@pytest.mark.parametrize(
    ("query", "auth"),
    [
        pytest.param("", b"", id="none"),
        pytest.param("?password=s3cret", b"*2\r\n$4\r\nAUTH\r\n$6\r\ns3cret\r\n", id="password"),
        pytest.param(
            "?username=me&password=s3cret",
            b"*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$6\r\ns3cret\r\n",
            id="user and password",
        ),
    ],
)
@on_uvloop
async def test_it_says_who_it_is_before_it_subscribes(
    tmp_path: Path, query: str, auth: bytes
) -> None:
    async with subscribed(tmp_path, SUBSCRIBED, query=query) as stage:
        await eventually(lambda: stage.gaps)

    assert stage.greetings == [auth + b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n"]


@on_uvloop
async def test_no_password_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"unix://{tmp_path}/nobody-is-here?password=s3cret"
    subscriber = Subscriber(url, "c", print, print)
    running = asyncio.create_task(subscriber.run())

    await eventually(lambda: len(caplog.records) > 1)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert "s3cret" not in caplog.text
