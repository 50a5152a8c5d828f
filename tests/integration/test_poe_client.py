"""The client against a server that does what no library would do."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import msgspec
import pytest

from contract.messages import Event, Failed, Finished, Job, Message, Replaced, Text
from simulated_poe import SimulatedPoe
from worker.bot import UPSTREAM as BOT
from worker.poe.answer import Answer, Flow
from worker.poe.client import Gate, NotSent, PoeClient
from worker.poe.errors import LONGEST_MESSAGE
from worker.poe.faults import Fault, FaultKind, Reach, to_failure
from worker.poe.limits import RateLimits
from worker.poe.upstream import Ask

SECRET = "poe-key-of-a-friend"
JOB = Job("j1", "c1", "GPT-4o", (Message("user", "Hi"),))

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
HELLO = b'event: text\r\ndata: {"text": "Hello"}\r\n\r\n'
DONE = b"event: done\r\ndata: {}\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def whole(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass(eq=False)
class Call:
    """One connection, seen from the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: bytes = b""

    async def request(self) -> bytes:
        """Read one whole request; what is not one is returned when the client hangs up."""
        head = await self._until(b"\r\n\r\n")
        _, _, after = head.lower().partition(b"content-length: ")
        length = int(after.split(b"\r\n")[0]) if after else 0
        while len(self.received) < len(head) + length:
            if not await self._more():
                break
        request, self.received = self.received, b""
        return request

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def left(self) -> None:
        """Wait until the client has closed the connection."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def _until(self, end: bytes) -> bytes:
        while end not in self.received and await self._more():
            pass
        head, end, _ = self.received.partition(end)
        return head + end

    async def _more(self) -> bool:
        data = await self.reader.read(65536)
        self.received += data
        return bool(data)


Script = Callable[[Call], Awaitable[None]]


@dataclass
class RawPoe:
    """A server that plays one script with every connection."""

    script: Script
    url: str = ""
    connections: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.script(Call(reader, writer))
        finally:
            writer.close()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.create_task(self.serve(reader, writer)))


@asynccontextmanager
async def raw_poe(script: Script) -> AsyncIterator[RawPoe]:
    """Serve; what a script raises is raised here, and one that goes on is ended."""
    poe = RawPoe(script)
    server = await asyncio.start_server(poe.accept, "127.0.0.1", 0)
    poe.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield poe
    finally:
        server.close()
        for task in poe.tasks:
            task.cancel()
        ended = await asyncio.gather(*poe.tasks, return_exceptions=True)
        await server.wait_closed()
        ours = (asyncio.CancelledError, ConnectionError)
        assert [e for e in ended if e is not None and not isinstance(e, ours)] == []


def says(*pieces: bytes) -> Script:
    """Read a request, write this, close."""

    async def script(call: Call) -> None:
        await call.request()
        await call.send(*pieces)

    return script


def says_and_waits(*pieces: bytes) -> Script:
    """Read a request, write this, and keep the connection until the client closes it."""

    async def script(call: Call) -> None:
        await call.request()
        await call.send(*pieces)
        await call.left()

    return script


def client(
    url: str, *, timeout: float = 5.0, answer_timeout: float = 60.0, max_connections: int = 10
) -> PoeClient:
    return PoeClient(
        url, max_connections=max_connections, timeout=timeout, answer_timeout=answer_timeout
    )


def ask(poe: PoeClient, job: Job = JOB, secret: str = SECRET) -> Answer:
    return poe.answer(BOT, Ask(job), secret, gate=gate())


async def collect(answer: Answer) -> list[Event]:
    events: list[Event] = []
    await answer.read(taking_into(events))
    return events


def taking_into(events: list[Event]) -> Callable[[list[Event]], Flow]:
    def take(batch: list[Event]) -> Flow:
        events.extend(batch)
        return Flow.MORE

    return take


def gate(
    may_send: Callable[[], bool] = lambda: True, on_sent: Callable[[], None] = lambda: None
) -> Gate:
    async def ready() -> bool:
        return True

    return Gate(ready, may_send, on_sent)


def read(events: list[Event]) -> str:
    """The text that a client ends with."""
    words = ""
    for event in events:
        match event:
            case Text(more):
                words += more
            case Replaced(all_of_it):
                words = all_of_it
    return words


async def fault_of(
    url: str,
    job: Job = JOB,
    secret: str = SECRET,
    timeout: float = 5.0,
    answer_timeout: float = 60.0,
) -> Fault:
    async with client(url, timeout=timeout, answer_timeout=answer_timeout) as poe:
        with pytest.raises(Fault) as caught:
            await collect(ask(poe, job, secret))
    return caught.value


async def test_asks_a_bot_and_brings_its_answer() -> None:
    requests, sent = [], []

    async def script(call: Call) -> None:
        requests.append(await call.request())
        await call.send(HEAD, chunk(HELLO + DONE), END)

    job = Job("j1", "c1", "Bot/é?#", (Message("user", "Hi"),))
    async with raw_poe(script) as raw, client(raw.url + "/") as poe:
        passing = gate(lambda: not requests, lambda: sent.append(len(requests)))
        answer = poe.answer(BOT, Ask(job), SECRET, gate=passing)
        events = await collect(answer)

    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert events == [Text("Hello"), Finished()]
    assert sent == [0]
    assert answer.reach is Reach.BEGUN
    assert head.startswith(b"POST /bot/Bot%2F%C3%A9%3F%23 HTTP/1.1\r\n")
    assert f"authorization: bearer {SECRET}".encode() in head.lower()
    assert b"accept: text/event-stream" in head.lower()
    assert b"accept-encoding: identity" in head.lower()
    assert msgspec.json.decode(body)["query"][0]["content"] == "Hi"


async def test_every_batch_comes_out_as_it_comes_in() -> None:
    seen = asyncio.Event()

    async def script(call: Call) -> None:
        await call.request()
        await call.send(HEAD, chunk(HELLO))
        await seen.wait()  # for ever, if the client waits for more
        await call.send(chunk(HELLO + HELLO), chunk(DONE), END)

    batches: list[list[Event]] = []

    def take(batch: list[Event]) -> Flow:
        batches.append(batch)
        seen.set()
        return Flow.MORE

    async with raw_poe(script) as raw, client(raw.url) as poe:
        await ask(poe).read(take)

    assert batches[0] == [Text("Hello")]
    assert [event for batch in batches for event in batch][1:] == [
        Text("Hello"),
        Text("Hello"),
        Finished(),
    ]


async def test_tells_what_the_headers_say_of_limits_even_when_refused() -> None:
    headers = ("x-ratelimit-limit-requests: 500", "X-RateLimit-Remaining-Requests: 0")

    async with raw_poe(says(whole("429 Too Many", b"", *headers))) as raw, client(raw.url) as poe:
        answer = ask(poe)
        with pytest.raises(Fault):
            await collect(answer)

    assert answer.limits == RateLimits(0)


async def test_a_compressed_answer_is_read_though_nobody_asked_for_it() -> None:
    body = gzip.compress(HELLO + DONE)
    script = says(
        whole("200 OK", body, "Content-Type: text/event-stream", "Content-Encoding: gzip")
    )

    async with raw_poe(script) as raw, client(raw.url) as poe:
        events = await collect(ask(poe))

    assert events == [Text("Hello"), Finished()]


EVENT_STREAM = "Content-Type: text/event-stream"
LIMIT = b'{"error": {"code": 429, "type": "rate_limit_error", "message": "x", "metadata": {}}}'


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        pytest.param(whole("429 T", LIMIT, "Retry-After: 7"), FaultKind.RATE_LIMITED, id="429"),
        pytest.param(whole("401 U"), FaultKind.BAD_KEY, id="401 without a body"),
        pytest.param(
            whole("402 P", HELLO + DONE, EVENT_STREAM), FaultKind.NO_POINTS, id="402 with an answer"
        ),
        pytest.param(
            whole("502 B", b"<html>", "Content-Type: text/html"),
            FaultKind.UPSTREAM_DOWN,
            id="502 in HTML",
        ),
        pytest.param(
            whole("302 F", b"", "Location: http://127.0.0.1:9/"),
            FaultKind.PROTOCOL,
            id="a redirect, which would carry the key elsewhere",
        ),
        pytest.param(
            whole("200 OK", LIMIT, "Content-Type: application/json"),
            FaultKind.RATE_LIMITED,
            id="200 with an error",
        ),
        pytest.param(
            whole("200 OK", b"<html>", "Content-Type: text/html"), FaultKind.PROTOCOL, id="a page"
        ),
        pytest.param(
            b"HTTP/1.1 429 T\r\nContent-Length: 1000\r\n\r\n{",
            FaultKind.RATE_LIMITED,
            id="an error that is cut",
        ),
        pytest.param(
            whole("400 B", b"\x1f\x8b garbage", "Content-Encoding: gzip"),
            FaultKind.BAD_REQUEST,
            id="an error that cannot be decompressed",
        ),
        pytest.param(b"", FaultKind.CUT, id="cut before the head"),
        pytest.param(HEAD[:30], FaultKind.CUT, id="cut in the head"),
        pytest.param(HEAD, FaultKind.CUT, id="cut before the body"),
        pytest.param(HEAD + END, FaultKind.EMPTY, id="an empty body"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", FaultKind.PROTOCOL, id="not HTTP"),
        pytest.param(
            HEAD[:-2] + b"X: " + b"y" * 70_000 + b"\r\n\r\n", FaultKind.PROTOCOL, id="a huge header"
        ),
        pytest.param(HEAD + b"zzz\r\n", FaultKind.PROTOCOL, id="not chunks"),
        pytest.param(HEAD + chunk(b"event: text\ndata: {\n\n"), FaultKind.PROTOCOL, id="not JSON"),
        pytest.param(
            HEAD + chunk(b'event: error\ndata: {"text": "Bot does not exist"}\n\n' + DONE) + END,
            FaultKind.MODEL_NOT_FOUND,
            id="an error event",
        ),
    ],
)
async def test_a_failure_before_any_output_is_a_fault(answer: bytes, kind: FaultKind) -> None:
    async with raw_poe(says(answer)) as raw:
        fault = await fault_of(raw.url)

    assert fault.kind is kind
    assert fault.sent


async def test_a_fault_knows_when_to_come_again() -> None:
    async with raw_poe(says(whole("429 T", LIMIT, "Retry-After: 7"))) as raw:
        fault = await fault_of(raw.url)

    assert fault.retry_after == 7.0


async def test_an_error_without_end_is_not_read_to_its_end() -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.send(b"HTTP/1.1 429 T\r\n\r\n")
        while True:
            await call.send(b"x" * 65536)

    async with raw_poe(script) as raw:
        fault = await fault_of(raw.url)

    assert fault.kind is FaultKind.RATE_LIMITED


async def test_a_line_without_end_is_not_read_to_its_end() -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.send(HEAD)
        while True:
            await call.send(chunk(b"x" * 65536))

    async with raw_poe(script) as raw:
        fault = await fault_of(raw.url)

    assert fault.kind is FaultKind.PROTOCOL


async def cut(call: Call) -> None:
    call.writer.close()


async def reset(call: Call) -> None:
    call.reset()


async def late_error(call: Call) -> None:
    await call.send(chunk(b'event: error\ndata: {"text": "Internal server error"}\n\n'))


@pytest.mark.parametrize(
    ("ending", "kind"),
    [(cut, FaultKind.CUT), (reset, FaultKind.CUT), (late_error, FaultKind.UPSTREAM_DOWN)],
)
async def test_what_came_before_a_failure_is_not_lost(ending: Script, kind: FaultKind) -> None:
    seen = asyncio.Event()

    async def script(call: Call) -> None:
        await call.request()
        await call.send(HEAD, chunk(HELLO))
        await seen.wait()
        await ending(call)

    events: list[Event] = []

    def take(batch: list[Event]) -> Flow:
        events.extend(batch)
        seen.set()
        return Flow.MORE

    async with raw_poe(script) as raw, client(raw.url) as poe:
        with pytest.raises(Fault) as caught:
            await ask(poe).read(take)

    assert events == [Text("Hello")]
    assert caught.value.kind is kind
    assert to_failure(caught.value, output=True).charged


async def test_a_reset_before_the_head_is_a_cut() -> None:
    async def script(call: Call) -> None:
        await call.request()
        call.reset()

    async with raw_poe(script) as raw:
        fault = await fault_of(raw.url)

    assert (fault.kind, fault.sent) == (FaultKind.CUT, True)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([], id="before the head"),
        pytest.param([HEAD[:40]], id="in the head"),
        pytest.param([HEAD], id="before the first event"),
        pytest.param([HEAD, chunk(HELLO)], id="between events"),
        pytest.param([HEAD, chunk(HELLO[:9])], id="in an event"),
    ],
)
async def test_silence_ends_as_a_timeout(pieces: list[bytes]) -> None:
    async with raw_poe(says_and_waits(*pieces)) as raw:
        fault = await fault_of(raw.url, timeout=0.1)

    assert (fault.kind, fault.sent) == (FaultKind.TIMEOUT, True)


@pytest.mark.parametrize(
    "drop",
    [
        pytest.param(chunk(b": ping\r\n\r\n"), id="comments"),
        pytest.param(chunk(b"x"), id="a line, byte by byte"),
    ],
)
async def test_an_answer_that_is_kept_alive_for_ever_has_a_last_moment(drop: bytes) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.send(HEAD)
        while True:
            await call.send(drop)
            await asyncio.sleep(0.01)

    async with raw_poe(script) as raw:
        fault = await fault_of(raw.url, answer_timeout=0.3)

    assert fault.kind is FaultKind.TIMEOUT
    assert fault.reach is Reach.ANSWERED


@pytest.mark.parametrize("pieces", [[], [HEAD], [HEAD, chunk(HELLO)]], ids=str)
async def test_the_last_moment_of_an_answer_is_counted_from_its_sending(
    pieces: list[bytes],
) -> None:
    async with raw_poe(says_and_waits(*pieces)) as raw:
        fault = await fault_of(raw.url, answer_timeout=0.2)

    assert fault.kind is FaultKind.TIMEOUT


@pytest.mark.parametrize(
    ("answer", "reach"),
    [
        pytest.param(b"", Reach.SENT, id="nothing"),
        pytest.param(HEAD[:40], Reach.SENT, id="half of a head"),
        pytest.param(whole("500 E"), Reach.REFUSED, id="another status"),
        pytest.param(HEAD, Reach.ANSWERED, id="a head"),
        pytest.param(
            whole("200 OK", b"<html>", "Content-Type: text/html"),
            Reach.ANSWERED,
            id="200 and no stream",
        ),
        pytest.param(HEAD + chunk(HELLO[:9]), Reach.ANSWERED, id="half of an event"),
        pytest.param(HEAD + chunk(b"event: ping\n\n"), Reach.ANSWERED, id="a sign of life"),
        pytest.param(HEAD + chunk(HELLO), Reach.BEGUN, id="text"),
        pytest.param(
            HEAD + chunk(b'event: text\ndata: {"text": "Thinking..."}\n\n'),
            Reach.BEGUN,
            id="text that is held back",
        ),
    ],
)
async def test_a_fault_tells_how_far_the_call_had_come(answer: bytes, reach: Reach) -> None:
    told: list[Reach] = []

    async with raw_poe(says(answer)) as raw, client(raw.url) as poe:
        with pytest.raises(Fault) as raised:
            await collect(poe.answer(BOT, Ask(JOB), SECRET, gate=gate(), on_reach=told.append))

    assert raised.value.reach is reach
    assert told == sorted(told)
    assert told[-1] is reach


async def test_not_a_byte_leaves_unless_it_may_be_noted_first() -> None:
    async def before_send() -> bool:
        return False

    async with raw_poe(says(b"")) as raw, client(raw.url) as poe:
        with pytest.raises(NotSent):
            await collect(
                poe.answer(
                    BOT,
                    Ask(JOB),
                    SECRET,
                    gate=Gate(before_send, lambda: True, lambda: pytest.fail("sent")),
                )
            )


async def test_a_note_that_takes_longer_than_the_grant_stops_the_call() -> None:
    granted = True

    async def before_send() -> bool:
        nonlocal granted
        granted = False
        return True

    async with raw_poe(says(b"")) as raw, client(raw.url) as poe:
        with pytest.raises(NotSent):
            await collect(
                poe.answer(
                    BOT,
                    Ask(JOB),
                    SECRET,
                    gate=Gate(before_send, lambda: granted, lambda: pytest.fail("sent")),
                )
            )


async def test_every_event_gives_the_next_one_its_full_time() -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.send(HEAD)
        for _ in range(8):
            await call.send(chunk(b"event: ping\ndata: {}\n\n"))
            await asyncio.sleep(0.1)
        await call.send(chunk(HELLO + DONE), END)

    async with raw_poe(script) as raw, client(raw.url, timeout=0.6) as poe:
        events = await collect(ask(poe))

    assert events == [Text("Hello"), Finished()]


async def test_nobody_listening_is_a_fault_before_sending() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    fault = await fault_of(f"http://127.0.0.1:{port}")

    assert (fault.kind, fault.sent) == (FaultKind.UNREACHABLE, False)
    assert not to_failure(fault, output=False).charged


async def test_a_name_that_does_not_resolve_is_a_fault_before_sending() -> None:
    fault = await fault_of("http://poe.invalid")

    assert (fault.kind, fault.sent) == (FaultKind.UNREACHABLE, False)


@pytest.mark.parametrize("size", [10, 3_000_000], ids=["a short query", "a long query"])
async def test_not_a_byte_leaves_when_the_grant_is_gone(size: int) -> None:
    received: list[bytes] = []
    asked_with: list[int] = []
    job = Job("j1", "c1", "GPT-4o", (Message("user", "x" * size),))

    async def script(call: Call) -> None:
        received.append(await call.request())

    def may_send() -> bool:
        asked_with.append(raw.connections)
        return False

    async with raw_poe(script) as raw:
        async with client(raw.url) as poe:
            gated = gate(may_send, lambda: pytest.fail("sent"))
            answer = poe.answer(BOT, Ask(job), SECRET, gate=gated)
            with pytest.raises(NotSent):
                await collect(answer)
        # The client has kept the connection until it was closed itself.
        await asyncio.gather(*raw.tasks)

    assert received == [b""]
    assert asked_with in ([0], [1])  # the connection is there; the server may not know it yet
    assert answer.reach is Reach.UNSENT


async def test_not_a_byte_leaves_over_a_used_connection_either() -> None:
    received: list[bytes] = []

    async def script(call: Call) -> None:
        await call.request()
        await call.send(HEAD, chunk(HELLO + DONE), END)
        received.append(await call.request())

    async with raw_poe(script) as raw:
        async with client(raw.url) as poe:
            await collect(ask(poe))
            gated = gate(lambda: False, lambda: pytest.fail("sent"))
            with pytest.raises(NotSent):
                await collect(poe.answer(BOT, Ask(JOB), SECRET, gate=gated))
        await asyncio.gather(*raw.tasks)

    assert received == [b""]
    assert raw.connections == 1


async def test_between_the_look_at_the_grant_and_the_sending_nothing_else_can_happen() -> None:
    server = socket.create_server(("127.0.0.1", 0))
    peer: list[socket.socket] = []
    in_the_kernel: list[bytes] = []

    def peek() -> None:
        with suppress(BlockingIOError):
            in_the_kernel.append(peer[0].recv(4, socket.MSG_PEEK | socket.MSG_DONTWAIT))

    def may_send() -> bool:
        peer.append(server.accept()[0])  # does not wait: the connection is there
        peek()
        asyncio.get_running_loop().call_soon(peek)
        peer[0].shutdown(socket.SHUT_WR)
        return True

    with server:
        async with client(f"http://127.0.0.1:{server.getsockname()[1]}") as poe:
            answer = poe.answer(BOT, Ask(JOB), SECRET, gate=gate(may_send))
            with pytest.raises(Fault):
                await collect(answer)
        peer[0].close()

    # Nothing when the grant was looked at; all of it one callback later.
    assert in_the_kernel == [b"POST"]


async def test_the_grant_is_not_looked_at_before_there_is_a_connection() -> None:
    asked: list[str] = []

    async def silent_proxy(call: Call) -> None:
        await call.request()
        await call.left()

    def may_send() -> bool:
        asked.append("may_send")
        return True

    async with (
        raw_poe(silent_proxy) as raw,
        PoeClient(
            "https://poe.invalid", max_connections=1, proxy=raw.url, connect_timeout=0.1
        ) as poe,
    ):
        answer = poe.answer(BOT, Ask(JOB), SECRET, gate=gate(may_send))
        with pytest.raises(Fault) as caught:
            await collect(answer)

    assert asked == []
    assert (caught.value.kind, caught.value.sent) == (FaultKind.UNREACHABLE, False)


@pytest.mark.parametrize("cancels", [1, 2, 3])
@pytest.mark.parametrize(
    "pieces", [[], [HEAD], [HEAD, chunk(HELLO)]], ids=["before the head", "after it", "in text"]
)
async def test_cancelling_hangs_up_at_once(pieces: list[bytes], cancels: int) -> None:
    waiting, left = asyncio.Event(), asyncio.Event()

    async def script(call: Call) -> None:
        await call.request()
        await call.send(*pieces)
        waiting.set()
        await call.left()
        left.set()

    async with raw_poe(script) as raw, client(raw.url, max_connections=1) as poe:
        running = asyncio.create_task(collect(ask(poe)))
        await waiting.wait()
        for _ in range(cancels):
            running.cancel()
            await asyncio.sleep(0)  # a turn of the loop, so that every cancel is delivered
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.wait_for(left.wait(), 5)

        # The only connection that there may be is free again.
        raw.script = says(HEAD, chunk(HELLO + DONE), END)
        assert await collect(ask(poe)) == [Text("Hello"), Finished()]


async def test_leaving_early_hangs_up_at_once() -> None:
    left = asyncio.Event()

    async def script(call: Call) -> None:
        await call.request()
        await call.send(HEAD, chunk(HELLO))
        await call.left()
        left.set()

    async with raw_poe(script) as raw, client(raw.url) as poe:
        await ask(poe).read(lambda _: Flow.ENOUGH)
        await asyncio.wait_for(left.wait(), 5)


async def test_an_answer_that_nobody_reads_sends_nothing() -> None:
    async with raw_poe(says()) as raw, client(raw.url) as poe:
        answer = ask(poe)

        assert (raw.connections, answer.reach) == (0, Reach.UNSENT)


async def test_an_answer_that_is_faster_than_its_taker_waits_for_it() -> None:
    passed_on: list[int] = []
    events: list[Event] = []

    async def script(call: Call) -> None:
        await call.request()
        await call.send(HEAD, *[chunk(HELLO) for _ in range(50)], chunk(DONE), END)

    def take(batch: list[Event]) -> Flow:
        events.extend(batch)
        return Flow.WAIT

    async def pass_on() -> None:
        passed_on.append(len(events))

    async with raw_poe(script) as raw, client(raw.url) as poe:
        await ask(poe).read(take, pass_on)

    assert events == [Text("Hello")] * 50 + [Finished()]
    assert passed_on


async def test_what_fails_in_the_taker_fails_the_reading_and_hangs_up() -> None:
    left = asyncio.Event()

    async def script(call: Call) -> None:
        await call.request()
        await call.send(HEAD, chunk(HELLO))
        await call.left()
        left.set()

    def take(_: list[Event]) -> Flow:
        raise RuntimeError("of our own")

    async with raw_poe(script) as raw, client(raw.url) as poe:
        with pytest.raises(RuntimeError, match="of our own"):
            await ask(poe).read(take)
        await asyncio.wait_for(left.wait(), 5)


async def test_answers_follow_each_other_on_one_connection_without_cookies() -> None:
    requests = []

    async def script(call: Call) -> None:
        while request := await call.request():
            requests.append(request)
            head = HEAD[:-2] + b"Set-Cookie: who=me; Path=/\r\n\r\n"
            await call.send(head, chunk(HELLO), chunk(DONE), END)

    async with raw_poe(script) as raw, client(raw.url) as poe:
        for _ in range(3):
            assert await collect(ask(poe)) == [Text("Hello"), Finished()]

    assert (len(requests), raw.connections) == (3, 1)
    assert b"cookie" not in b"".join(requests).lower()


async def test_done_is_the_end_even_if_the_body_goes_on() -> None:
    script = says_and_waits(HEAD, chunk(HELLO), chunk(DONE))

    async with raw_poe(script) as raw, client(raw.url) as poe:
        events = await collect(ask(poe))

    assert events == [Text("Hello"), Finished()]


async def test_as_many_answers_run_as_connections_are_allowed() -> None:
    many = 120
    together = asyncio.Event()

    async def script(call: Call) -> None:
        await call.request()
        if raw.connections == many:
            together.set()
        await together.wait()
        await call.send(HEAD, chunk(HELLO + DONE), END)

    async with raw_poe(script) as raw, client(raw.url, max_connections=many) as poe:
        answers = await asyncio.gather(*(collect(ask(poe)) for _ in range(many)))

    assert answers == [[Text("Hello"), Finished()]] * many


@pytest.mark.parametrize("model", ["", ".", ".."])
async def test_a_name_that_would_be_another_path_is_no_model(model: str) -> None:
    async with raw_poe(says()) as raw:
        fault = await fault_of(raw.url, Job("j1", "c1", model, JOB.messages))

    assert (fault.kind, fault.sent, raw.connections) == (FaultKind.MODEL_NOT_FOUND, False, 0)


async def test_text_that_is_no_unicode_is_a_bad_request() -> None:
    async with raw_poe(says()) as raw:
        fault = await fault_of(raw.url, Job("j1", "c1", "GPT-4o", (Message("user", "\ud800"),)))

    assert (fault.kind, fault.sent, raw.connections) == (FaultKind.BAD_REQUEST, False, 0)


@pytest.mark.parametrize("secret", ["kéy", "key\r\nX: y", "\x00"])
async def test_a_key_that_cannot_be_sent_is_a_bad_key_and_not_told(secret: str) -> None:
    async with raw_poe(says()) as raw:
        fault = await fault_of(raw.url, secret=secret)

    assert (fault.kind, fault.sent, raw.connections) == (FaultKind.BAD_KEY, False, 0)
    assert secret not in repr(fault) + str(fault) + repr(fault.__context__)


async def test_a_key_that_poe_repeats_goes_no_further() -> None:
    body = msgspec.json.encode({"error": {"message": f"{SECRET} may not do that", "type": "x"}})

    async with raw_poe(says(whole("400 B", body))) as raw:
        fault = await fault_of(raw.url)
        failed = to_failure(fault, output=False)

    assert isinstance(failed, Failed)
    assert failed.message == "[token] may not do that"
    assert SECRET not in repr(fault) + str(fault)


async def test_a_key_at_which_what_poe_said_was_cut_goes_no_further() -> None:
    words = "x" * (LONGEST_MESSAGE - len(SECRET) + 1)
    body = msgspec.json.encode({"error": {"message": words + SECRET, "type": "x"}})

    async with raw_poe(says(whole("400 B", body))) as raw:
        fault = await fault_of(raw.url)

    assert fault.message == words


async def test_an_http_proxy_is_asked_for_the_upstream() -> None:
    requests = []

    async def proxy(call: Call) -> None:
        requests.append(await call.request())
        await call.send(HEAD, chunk(HELLO + DONE), END)

    async with raw_poe(proxy) as raw:
        url = raw.url.replace("http://", "http://me:secret@")
        async with PoeClient("http://poe.invalid", max_connections=1, proxy=url) as poe:
            events = await collect(ask(poe))

    assert events == [Text("Hello"), Finished()]
    assert requests[0].startswith(b"POST http://poe.invalid/bot/GPT-4o HTTP/1.1\r\n")
    assert b"proxy-authorization: basic bwu6c2vjcmv0" in requests[0].lower()


async def test_a_socks_proxy_is_refused_clearly_and_without_its_password() -> None:
    with pytest.raises(ValueError, match="SOCKS is not supported") as caught:
        PoeClient("https://poe.invalid", max_connections=1, proxy="socks5://me:secret@127.0.0.1")

    assert "secret" not in str(caught.value)


async def test_reads_the_balance_of_a_key() -> None:
    requests = []

    async def script(call: Call) -> None:
        requests.append(await call.request())
        await call.send(whole("200 OK", b'{"current_point_balance": 1234}'))

    async with raw_poe(script) as raw, client(raw.url) as poe:
        assert await poe.balance(SECRET) == 1234

    assert requests[0].startswith(b"GET /usage/current_balance HTTP/1.1\r\n")
    assert f"authorization: bearer {SECRET}".encode() in requests[0].lower()


async def test_reads_the_catalogue_without_a_key() -> None:
    requests = []

    async def script(call: Call) -> None:
        requests.append(await call.request())
        await call.send(whole("200 OK", b'{"data": [{"id": "gpt-5"}, {}]}'))

    async with raw_poe(script) as raw, client(raw.url) as poe:
        models = await poe.models()

    assert [model.id for model in models] == ["gpt-5"]
    assert requests[0].startswith(b"GET /v1/models HTTP/1.1\r\n")
    assert b"authorization" not in requests[0].lower()


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        pytest.param(says(whole("401 U")), FaultKind.BAD_KEY, id="401"),
        pytest.param(says(whole("503 S")), FaultKind.UPSTREAM_DOWN, id="503"),
        pytest.param(says(whole("200 OK", b"<html>")), FaultKind.PROTOCOL, id="a page"),
        pytest.param(says(HEAD), FaultKind.CUT, id="cut"),
        pytest.param(says_and_waits(HEAD), FaultKind.TIMEOUT, id="silence"),
        pytest.param(
            says(whole("200 OK", b"x" * 17_000_000)), FaultKind.PROTOCOL, id="a huge body"
        ),
    ],
)
async def test_a_question_about_a_key_fails_as_an_answer_does(
    script: Script, kind: FaultKind
) -> None:
    async with raw_poe(script) as raw, client(raw.url, timeout=1.0) as poe:
        with pytest.raises(Fault) as caught:
            await poe.balance(SECRET)

    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("bot", "text"),
    [
        ("Echo", "Hello you"),
        ("Replace", "Hello you"),
        ("Replace-rewrite", "Hello you"),
        ("Suggest", "You said: Hello you"),
        ("Nodone", "Hello you"),
        ("Think", "I have thought about it: Hello you"),
        ("Draw", "![Hello you][Ab3dE6gH]"),
    ],
)
async def test_the_simulated_poe_is_understood(bot: str, text: str) -> None:
    job = Job("j1", "c1", bot, (Message("user", "Hello you"),))

    async with SimulatedPoe() as simulated, client(simulated.url) as poe:
        events = await collect(ask(poe, job, "sim-key"))

    assert read(events) == text
    assert events[-1] == Finished()


@pytest.mark.parametrize(
    ("bot", "kind"),
    [
        ("Cut-0", FaultKind.CUT),
        ("Garbage-html", FaultKind.PROTOCOL),
        ("Fail-400-a", FaultKind.BAD_REQUEST),
        ("Fail-401-b", FaultKind.BAD_KEY),
        ("Fail-402-a", FaultKind.NO_POINTS),
        ("Fail-404-b", FaultKind.MODEL_NOT_FOUND),
        ("Fail-413-a", FaultKind.TOO_LONG),
        ("Fail-429-b", FaultKind.RATE_LIMITED),
        ("Fail-500-a", FaultKind.UPSTREAM_DOWN),
        ("Fail-529-a", FaultKind.OVERLOADED),
        ("Fail-html", FaultKind.UPSTREAM_DOWN),
        ("Fail-internal", FaultKind.UPSTREAM_DOWN),
        ("Fail-user_message_too_long", FaultKind.TOO_LONG),
        ("Fail-insufficient_fund-retry", FaultKind.NO_POINTS),
        ("Fail-subscription_required", FaultKind.NOT_ENTITLED),
        ("Fail-done", FaultKind.UPSTREAM_DOWN),
    ],
)
async def test_the_simulated_poe_fails_as_poe_does(bot: str, kind: FaultKind) -> None:
    async with SimulatedPoe() as simulated:
        fault = await fault_of(simulated.url, Job("j1", "c1", bot, JOB.messages), "sim-key")

    assert fault.kind is kind


async def test_the_simulated_poe_tells_its_models_and_balances() -> None:
    async with SimulatedPoe() as simulated, client(simulated.url) as poe:
        models = await poe.models()
        points = await poe.balance("sim-key")

        with pytest.raises(Fault) as caught:
            await poe.balance("sim-bad")

    assert "gpt-5.4" in {model.id for model in models}
    assert points > 0
    assert caught.value.kind is FaultKind.BAD_KEY
