"""One HTTP request: its id, its body within bounds, and the headers of every answer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.http import BODY_TIMEOUT, LINGER, ProtocolClosed, Request
from gateway.problems import Problem
from tests.support.openai_answers import status_of

LIMIT = 1_000


class Transport:
    def __init__(self, client: Client) -> None:
        self._client = client

    def send_bytes(self, data: bytes) -> None:
        if self._client.left:
            raise ProtocolClosed
        if self._client.fault:
            raise self._client.fault
        self._client.writes += 1
        self._client.body += data

    def __del__(self) -> None:
        self._client.ended = True


class Client:
    """The other end of one request, in place of Granian: what was sent to it."""

    def __init__(self, pieces: Callable[[], AsyncIterator[bytes]] | None = None) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.writes = 0
        self.left = False
        self.fault: Exception | None = None
        """What a write raises."""
        self.ended = False
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        assert self._pieces is not None
        return self._pieces()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.response_empty(status, headers)
        self.body = body

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = status, dict(headers)

    def response_stream(self, status: int, headers: list[tuple[str, str]]) -> Transport:
        self.response_empty(status, headers)
        return Transport(self)


def request_of(client: Client, headers: Mapping[str, str] | None = None) -> Request:
    scope = SimpleNamespace(method="POST", path="/", client="127.0.0.1:5", headers=headers or {})
    return Request(scope, client)  # type: ignore[arg-type]


def sending(*pieces: bytes) -> Callable[[], AsyncIterator[bytes]]:
    async def iterate() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return iterate


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("req_1", id="ours"),
        pytest.param("0b6d3c1e-7a4f-4f0e-9f4e-6a3f0b1c2d3e", id="a UUID"),
        pytest.param("a.b:c-d_e", id="punctuation"),
        pytest.param("x" * 128, id="long"),
    ],
)
def test_a_sane_request_id_is_kept(given: str) -> None:
    assert request_of(Client(), {"x-request-id": given}).id == given


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="nothing"),
        pytest.param("x" * 129, id="too long"),
        pytest.param("x" * 10_000, id="far too long"),
        pytest.param("a\r\nset-cookie: b", id="a header of its own"),
        pytest.param("a\n", id="a line of its own"),
        pytest.param('a" status="200', id="quotes"),
        pytest.param("é", id="not ASCII"),
        pytest.param("٣", id="foreign digits"),
    ],
)
def test_any_other_request_id_is_replaced(given: str) -> None:
    first, second = (request_of(Client(), {"x-request-id": given}).id for _ in range(2))

    assert first.startswith("req_")
    assert first != second


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([], id="nothing"),
        pytest.param([b"a" * LIMIT], id="whole"),
        pytest.param([b"a"] * LIMIT, id="byte by byte"),
        pytest.param([b"", b"a" * 500, b"", b"b" * 500], id="with empty pieces"),
    ],
)
async def test_a_body_within_its_limit_is_joined(pieces: list[bytes]) -> None:
    request = request_of(Client(sending(*pieces)))

    assert await request.body(LIMIT) == b"".join(pieces)


@pytest.mark.parametrize(
    ("headers", "pieces"),
    [
        pytest.param({}, [b"a" * (LIMIT + 1)], id="one byte too many"),
        pytest.param({}, [b"a"] * (LIMIT + 1), id="byte by byte"),
        pytest.param({}, [b"a" * LINGER] * 1_000, id="without end"),
        pytest.param({"content-length": str(LIMIT + 1)}, [b"a" * (LIMIT + 1)], id="declared"),
    ],
)
async def test_a_body_beyond_its_limit_is_refused(
    headers: dict[str, str], pieces: list[bytes]
) -> None:
    request = request_of(Client(sending(*pieces)), headers)

    with pytest.raises(Problem) as refused:
        await request.body(LIMIT)

    assert status_of(refused.value) == 413


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        pytest.param({}, 5, id="a little too much is read to its end, so that its sender hears"),
        pytest.param({"content-length": "1200"}, 5, id="declared"),
        pytest.param({"content-length": str(LIMIT + LINGER + 1)}, 0, id="far too much is not"),
        pytest.param({"content-length": "1200", "expect": "100-continue"}, 0, id="who asks first"),
    ],
)
async def test_what_is_read_of_a_body_that_is_too_large(headers: dict[str, str], read: int) -> None:
    sent = []

    async def pieces() -> AsyncIterator[bytes]:
        for n in range(5):
            sent.append(n)
            yield b"a" * 240

    request = request_of(Client(pieces), headers)

    with pytest.raises(Problem):
        await request.body(LIMIT)

    assert len(sent) == read


@pytest.mark.parametrize(
    ("headers", "pieces", "cut_off"),
    [
        pytest.param({}, [b"a" * (LIMIT + 1)], False, id="read to its end"),
        pytest.param({}, [b"a" * LINGER] * 3, True, id="too much"),
        pytest.param({"content-length": str(LIMIT + LINGER + 1)}, [], True, id="declared too much"),
        pytest.param({"content-length": "1200", "expect": "100-continue"}, [], True, id="asked"),
    ],
)
async def test_who_is_cut_off_is_told_not_to_use_the_connection_again(
    headers: dict[str, str], pieces: list[bytes], cut_off: bool
) -> None:
    client = Client(sending(*pieces))
    request = request_of(client, headers)

    with pytest.raises(Problem) as refused:
        await request.body(LIMIT)
    request.respond(status_of(refused.value), b"{}")

    assert client.status == 413
    assert (client.headers.get("connection") == "close") is cut_off


class HastyLoop(asyncio.SelectorEventLoop):
    """Where nothing is to be done but wait, it is later at once."""

    def __init__(self) -> None:
        self.skipped = 0.0
        super().__init__(_Hasty(self))

    def time(self) -> float:
        return super().time() + self.skipped


class _Hasty(selectors.SelectSelector):
    def __init__(self, loop: HastyLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout:
            self._loop.skipped += timeout
        return super().select(0)


def in_no_time(steps: Coroutine[Any, Any, None]) -> float:
    """Run `steps` without its waits, and return how many seconds they would have taken."""
    with asyncio.Runner(loop_factory=HastyLoop) as runner:
        loop = runner.get_loop()
        runner.run(steps)
        assert isinstance(loop, HastyLoop)
        return loop.skipped


def test_a_body_that_drips_is_given_up_after_a_minute() -> None:
    async def dripping() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(1)
            yield b"a"

    async def steps() -> None:
        with pytest.raises(Problem) as refused:
            await request_of(Client(dripping)).body(LIMIT)
        assert status_of(refused.value) == 408

    assert in_no_time(steps()) == pytest.approx(BODY_TIMEOUT, abs=1)


def test_every_answer_has_an_id_and_may_be_read_by_web_pages() -> None:
    client = Client()
    request = request_of(client, {"x-request-id": "r-1"})
    request.exposed = ("retry-after",)

    request.respond(404, b"{}")

    assert client.status == request.status == 404
    assert client.headers["x-request-id"] == "r-1"
    assert client.headers["access-control-allow-origin"] == "*"
    assert client.headers["access-control-expose-headers"] == "x-request-id, retry-after"


def test_a_closed_sink_takes_nothing_and_holds_nothing() -> None:
    client = Client()
    sink = request_of(client).stream()

    sink.close()
    sink.write(b"late")

    assert client.ended
    assert client.body == b""
