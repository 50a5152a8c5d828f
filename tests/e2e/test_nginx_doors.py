"""What nginx and a real gateway let nobody do to the others: with bodies, and with guessed keys."""

from __future__ import annotations

import asyncio
import gzip
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from contract.config import REDIS_URL
from gateway.config import GatewayConfig, access_token
from gateway.uploads import BODIES_OF_ONE
from poe2gpt import programs
from poe2gpt.programs import Program
from runtime.guesses import BURST
from tests.support.deployment import KEY, PATIENCE, Child, Gateway, eventually
from tests.support.gateway_alone import CHAT, Rig, kill, rig
from tests.support.scripted_worker import answering_all, words

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

from .conftest import Edge, configure, free_port, running_nginx

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1 << 20
QUESTION = b'{"model": "Test", "messages": [{"role": "user", "content": "hello"}]}'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with (
        rig(tmp_path_factory.mktemp("behind"), "maxBody = 1") as running,
        answering_all(running.worker, words),
    ):
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def edge(shared: Rig, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    port = free_port()
    prefix = configure(tmp_path_factory.mktemp("nginx"), port, (shared.gateway.port,), {})
    async with running_nginx(prefix, port) as running:
        yield running


@dataclass
class Sender:
    """A client at an address of its own, which sends as little or as much as it likes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def status(self) -> int:
        """The status of the next answer; the answer itself is read."""
        async with asyncio.timeout(PATIENCE):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            self.body = await self.reader.readexactly(int(length[1]) if length else 0)
        return int(head.split()[1])


async def sender(stack: AsyncExitStack, edge: Edge, address: str = "127.0.0.1") -> Sender:
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port, local_addr=(address, 0))
    stack.callback(writer.close)
    return Sender(reader, writer)


def head(key: str, length: int, path: str = CHAT) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


async def asked(edge: Edge, key: str, address: str) -> int:
    async with AsyncExitStack() as stack:
        client = await sender(stack, edge, address)
        await client.say(head(key, len(QUESTION)) + QUESTION)
        return await client.status()


@pytest.mark.parametrize(
    ("key", "address"),
    [
        pytest.param("", "127.0.0.2", id="no key"),
        pytest.param("none-that-anyone-has", "127.0.0.9", id="a wrong key"),
    ],
)
async def test_who_has_no_key_sends_no_body(edge: Edge, key: str, address: str) -> None:
    async with AsyncExitStack() as stack:
        crowd = [await sender(stack, edge, address) for _ in range(17)]
        for each in crowd:
            await each.say(head(key, 32 * MIB) + b"a")

        statuses = [await each.status() for each in crowd]

    assert statuses == [401] * 17
    assert await asked(edge, KEY, "127.0.0.1") == 200


async def test_nginx_keeps_no_body(edge: Edge) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(BODIES_OF_ONE - 1):
            slow = await sender(stack, edge, "127.0.0.3")
            await slow.say(head(KEY, MIB) + bytes(MIB - 1))
        kept = sum(file.stat().st_size for file in (edge.log.parent / "body").rglob("*"))

        assert kept == 0


async def test_who_sends_too_much_at_once_hinders_nobody_else(shared: Rig, edge: Edge) -> None:
    async def all_arrived() -> bool:
        arrived = await shared.metric("poe2gpt_incomplete_body_bytes")
        return arrived == BODIES_OF_ONE * (MIB - 1)

    async with AsyncExitStack() as stack:
        greedy = [await sender(stack, edge, "127.0.0.4") for _ in range(BODIES_OF_ONE)]
        for each in greedy:
            await each.say(head(KEY, MIB) + bytes(MIB - 1))
        await eventually(all_arrived)
        one_more = await asked(edge, KEY, "127.0.0.4")
        other = await asked(edge, KEY, "127.0.0.5")
        for each in greedy:
            await each.say(b"a")
        statuses = [await each.status() for each in greedy]

    assert one_more == 429
    assert other == 200
    assert statuses == [400] * BODIES_OF_ONE, "they are read to their end; they hold no JSON"
    assert await asked(edge, KEY, "127.0.0.4") == 200


async def test_a_body_that_drips_is_ended_by_its_deadline(tmp_path: Path) -> None:
    gateway = await impatient(tmp_path)
    port = free_port()
    prefix = configure(tmp_path, port, (gateway.port,), {})
    try:
        async with running_nginx(prefix, port) as edge, AsyncExitStack() as stack:
            dripping = await sender(stack, edge)
            await dripping.say(head(KEY, 1_000))
            drops = asyncio.create_task(drip(dripping))
            status = await dripping.status()
            drops.cancel()
    finally:
        await kill(gateway.child)

    assert status == 408


async def impatient(directory: Path) -> Gateway:
    """A gateway that gives bodies little time, and needs no Redis for that."""
    port = free_port()
    argv = (sys.executable, "-m", "tests.support.impatient_gateway")
    settings = GatewayConfig(port=port, redis_url=REDIS_URL, access_tokens=(access_token(KEY),))
    log = directory / "gateway.log"
    environment = programs.environment_without([])
    program = Program("gateway", argv, environment, settings, log=log)
    gateway = Gateway(Child(await programs.start(program), log), port)
    await eventually(lambda: gateway.answers("/healthz"), "the gateway")
    return gateway


async def drip(slow: Sender) -> None:
    while True:
        await slow.say(b" ")
        await asyncio.sleep(0.01)


async def test_who_guesses_keys_is_stopped_and_told_of(shared: Rig, edge: Edge) -> None:
    guessed = [await asked(edge, f"guess-{number}", "127.0.0.6") for number in range(BURST * 2)]
    right = await asked(edge, KEY, "127.0.0.6")
    other = await asked(edge, KEY, "127.0.0.7")

    assert guessed[0] == 401
    assert guessed[-1] == 429
    assert (right, other) == (429, 200)
    throttled = await shared.metric("poe2gpt_refused_keys_total", {"verdict": "throttled"})
    assert throttled >= BURST - 1
    told = [line for line in shared.gateway.child.output().splitlines() if "wrong keys" in line]
    assert sum("127.0.0.6" in line for line in told) == 1
    assert "guess-1" not in shared.gateway.child.output()


async def test_who_shares_an_address_with_a_guesser_goes_on_working(edge: Edge) -> None:
    assert await asked(edge, KEY, "127.0.0.8") == 200

    guessed = [await asked(edge, f"guess-{number}", "127.0.0.8") for number in range(BURST * 2)]

    assert guessed[-1] == 429
    assert await asked(edge, KEY, "127.0.0.8") == 200


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
async def test_a_compressed_body_passes_and_a_bomb_does_not(edge: Edge, encoding: str) -> None:
    compress = {"gzip": gzip.compress, "zstd": zstd.compress}[encoding]
    headers = {"content-encoding": encoding, "authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=edge.url, headers=headers) as http:
        answer = await http.post(CHAT, content=compress(QUESTION))
        bomb = await http.post(CHAT, content=compress(b" " * 64 * MIB))

    assert answer.json()["choices"][0]["message"]["content"] == "one two three "
    assert bomb.status_code == 413
