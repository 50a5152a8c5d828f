"""Who reads too slowly: asked of the kernel, about real connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from gateway.exchange.backpressure import BEHIND, Backpressure
from gateway.exchange.sock_diag import unread
from tests.support.deployment import eventually


class Connection:
    """Both ends of one: the server's `here`, the client's `there`."""

    def __init__(self, family: socket.AddressFamily, host: str) -> None:
        with socket.socket(family) as listener:
            listener.bind((host, 0))
            listener.listen()
            self.port = listener.getsockname()[1]
            self.there = socket.create_connection((host, self.port))
            self.here = listener.accept()[0]
        self.peer = self.here.getpeername()[:2]
        self.here.setblocking(False)

    def fill(self) -> None:
        with suppress(BlockingIOError):
            while True:
                self.here.send(bytes(65536))

    def read_all(self) -> None:
        self.there.setblocking(False)
        with suppress(BlockingIOError):
            while self.there.recv(65536):
                pass


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["4", "6"])
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    connected = Connection(*request.param)
    with connected.here, connected.there:
        yield connected


def test_a_client_that_reads_nothing_is_behind(connection: Connection) -> None:
    pace = Backpressure(connection.port)
    before = pace.is_behind(connection.peer)

    connection.fill()

    assert not before
    assert pace.is_behind(connection.peer)
    assert unread(connection.port)[connection.peer] > BEHIND


def test_only_connections_of_the_port_are_looked_at(connection: Connection) -> None:
    connection.fill()

    assert unread(connection.peer[1]) != {}
    assert connection.peer not in unread(connection.peer[1])
    assert unread(connection.port, connection.port) == {}


async def test_who_has_caught_up_is_called_back(connection: Connection) -> None:
    pace = Backpressure(connection.port)
    connection.fill()
    called = asyncio.Event()

    pace.when_ready(connection.peer, called.set)
    connection.read_all()

    async def caught_up() -> bool:
        connection.read_all()
        return called.is_set()

    await eventually(caught_up, "the call")


async def test_a_client_that_is_gone_does_not_keep_its_stream_paused(
    connection: Connection,
) -> None:
    pace = Backpressure(connection.port)
    connection.fill()
    called = asyncio.Event()

    pace.when_ready(connection.peer, called.set)
    connection.there.close()
    connection.here.close()

    async with asyncio.timeout(10):
        await called.wait()
