"""The load: many requests at once over raw connections, every byte of every answer checked.

Bytes are only kept while the load is on, with the time at which they came; they are read and
checked when it is over, so that the generator costs the machine little.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle, pairwise
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from bench.upstream import Load

R = TypeVar("R")

PATIENCE = 120.0
"""Seconds that one request may take."""


class WrongAnswer(Exception):
    """An answer differs from what the upstream sent."""


class Refused(Exception):
    """An answer has another status than 200."""


@dataclass(frozen=True)
class Target:
    """An endpoint, and what it expects of requests."""

    url: str
    """The endpoint's URL, such as `http://127.0.0.1:3700/v1/chat/completions`."""
    headers: tuple[tuple[str, str], ...] = ()
    prefix: str = ""
    """The prefix of model names at this endpoint."""
    keys: tuple[str, ...] = ()
    """The keys of its clients, which ask in turn. Empty: the headers have the one key."""

    def requests(self, load: Load, stream: bool) -> Iterator[bytes]:
        """Return one request after another, for ever, as HTTP/1.1 bytes."""
        return cycle([self._request(load, stream, key) for key in self.keys or ("",)])

    def _request(self, load: Load, stream: bool, key: str) -> bytes:
        body = json.dumps(
            {
                "model": self.prefix + load.model,
                "stream": stream,
                "messages": [{"role": "user", "content": "Say the words in order."}],
            }
        ).encode()
        at = urlsplit(self.url)
        lines = [
            f"POST {at.path} HTTP/1.1",
            f"host: {at.netloc}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.headers),
            *([f"authorization: Bearer {key}"] if key else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Answer:
    """One answer, as it was received."""

    sent: float
    """Monotonic seconds, like all times here."""
    stream: bool
    reads: list[tuple[float, bytes]] = field(default_factory=list)
    ended: float = 0.0

    @property
    def body(self) -> bytes:
        """The body. Raises Refused if the status is not 200."""
        head, _, rest = b"".join(data for _, data in self.reads).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise Refused(f"it answered {head[:12].decode()}: {rest[:300]!r}")
        return _unchunked(rest) if b"chunked" in head.lower() else rest

    def check(self, load: Load) -> None:
        """Raise WrongAnswer unless every word arrived exactly once and in order."""
        body = self.body
        text = _streamed_text(body) if self.stream else _whole_text(body)
        if text != load.text:
            raise WrongAnswer(f"{len(text)} characters instead of {len(load.text)}: {text[:200]!r}")

    def first_word(self) -> float:
        """Return the seconds from the request to the read that brought the first word."""
        return next(at for at, data in self.reads if b"w000001" in data) - self.sent

    def gaps(self) -> list[float]:
        """Return the seconds between the reads that brought words."""
        times = [at for at, data in self.reads if b'"w' in data]
        return [after - before for before, after in pairwise(times)]


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.has_begun = False
        """Whether the first word of an answer has come."""
        self._answer: Answer | None = None
        self._over: asyncio.Future[None] | None = None
        self._tail = b""
        self._transport: asyncio.Transport | None = None
        self._left: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's is not a subclass

    async def ask(self, request: bytes, stream: bool) -> Answer:
        """Send a request and return its whole answer, unread."""
        self._over = asyncio.get_running_loop().create_future()
        self._tail, self._left = b"", None
        self._answer = answer = Answer(time.monotonic(), stream)
        assert self._transport is not None
        self._transport.write(request)
        async with asyncio.timeout(PATIENCE):
            await self._over
        return answer

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            return
        answer.reads.append((time.monotonic(), data))
        self.has_begun = self.has_begun or b"w000001" in data
        if self._is_last(data, answer):
            answer.ended = time.monotonic()
            self._answer = None
            if self._over is not None and not self._over.done():
                self._over.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_exception(WrongAnswer(f"the connection was lost: {error!r}"))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _is_last(self, data: bytes, answer: Answer) -> bool:
        self._tail = (self._tail + data)[-5:]
        if self._left is None and len(answer.reads) == 1:
            head, separator, rest = data.partition(b"\r\n\r\n")
            length = _content_length(head)
            if separator and length is not None:
                self._left = length - len(rest)
                return self._left <= 0
        elif self._left is not None:
            self._left -= len(data)
            return self._left <= 0
        return self._tail == b"0\r\n\r\n"


async def connect(target: Target, count: int) -> list[Connection]:
    """Open connections."""
    loop, at = asyncio.get_running_loop(), urlsplit(target.url)
    pairs = [
        await loop.create_connection(Connection, at.hostname or "", at.port or 80)
        for _ in range(count)
    ]
    return [connection for _, connection in pairs]


async def streams(target: Target, load: Load, count: int, apart: float = 0.0) -> list[Answer]:
    """Send `count` streamed requests, each `apart` seconds after the one before."""
    connections = await connect(target, count)
    requests = target.requests(load, stream=True)

    async def ask(place: int, connection: Connection) -> Answer:
        await asyncio.sleep(place * apart)
        return await connection.ask(next(requests), True)

    answers = await asyncio.gather(*(ask(*each) for each in enumerate(connections)))
    for connection in connections:
        connection.close()
    return answers


async def held(
    target: Target, load: Load, count: int, once_open: Callable[[], R]
) -> tuple[list[Answer], R | None]:
    """Send `count` streamed requests; when all have begun and are silent, call `once_open`.

    Returns the answers, and the call's result; None where the first of them had ended by then.
    Connections are opened a hundred at a time.
    """
    requests, asking, connections = target.requests(load, stream=True), [], []
    for start in range(0, count, 100):
        batch = await connect(target, min(100, count - start))
        asking += [asyncio.create_task(each.ask(next(requests), True)) for each in batch]
        connections += batch
        await _until_begun(batch)
    seen = None if any(task.done() for task in asking) else once_open()
    answers = await asyncio.gather(*asking)
    for connection in connections:
        connection.close()
    return answers, seen


async def _until_begun(connections: list[Connection]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not all(each.has_begun for each in connections):  # noqa: ASYNC110  # tens of reads
            await asyncio.sleep(0.01)


async def wholes(target: Target, load: Load, clients: int, seconds: float) -> list[Answer]:
    """Let each of `clients` request whole answers one after another, for `seconds`."""
    connections = await connect(target, clients)
    requests, until = target.requests(load, stream=False), time.monotonic() + seconds

    async def ask(connection: Connection) -> list[Answer]:
        answers = []
        while time.monotonic() < until:
            answers.append(await connection.ask(next(requests), False))
        return answers

    rounds = await asyncio.gather(*map(ask, connections))
    for connection in connections:
        connection.close()
    return [answer for answers in rounds for answer in answers]


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta = _Delta()
    message: _Delta = _Delta()


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []


_decode = msgspec.json.Decoder(_Chunk).decode


def _streamed_text(body: bytes) -> str:
    words, done = [], False
    for event in body.split(b"\n\n"):
        if event == b"data: [DONE]":
            done = True
        elif event.startswith(b"data: "):
            words += [choice.delta.content or "" for choice in _decode(event[6:]).choices]
    if not done:
        raise WrongAnswer(f"the stream has no end: {body[-300:]!r}")
    return "".join(words)


def _whole_text(body: bytes) -> str:
    return _decode(body).choices[0].message.content or ""


def _content_length(head: bytes) -> int | None:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return None


def _unchunked(body: bytes) -> bytes:
    pieces: list[bytes] = []
    at = 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end].partition(b";")[0], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(body[end + 2 : end + 2 + size])
        at = end + 2 + size + 2
