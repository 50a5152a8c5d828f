"""Clients that read slowly, or not at all: they get every word, and cost no memory."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from contract.messages import Finished, Text
from tests.support.deployment import KEY, Child, eventually
from tests.support.gateway_alone import CHAT, Rig, asking, rig, text_of
from tests.support.keys import keys
from tests.support.scripted_worker import words

pytestmark = pytest.mark.asyncio(loop_scope="module")

CROWD = 500
PIECE = "0123456789abcdef" * 256
PIECES = 512
"""Two megabytes of text in all."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("slow"), "statusHold = 0") as running:
        yield running


class Slow:
    """A client that has asked, and reads when it is told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def text(self) -> str:
        """Read all, in small bites."""
        body = b""
        while piece := await self._reader.read(16 * 1024):
            body += piece
            await asyncio.sleep(0)
            if body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n"):
                break
        lines = [line for line in body.split(b"\n") if line.startswith(b"data: {")]
        return "".join(
            json.loads(line[6:])["choices"][0]["delta"].get("content", "") for line in lines
        )

    async def leave(self) -> None:
        self._writer.transport.abort()


async def ask(rig: Rig, key: str) -> Slow:
    """Connect with the smallest of buffers, and ask for a stream."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", rig.gateway.port))
    reader, writer = await asyncio.open_connection(sock=client, limit=4096)
    body = json.dumps(asking(stream=True)).encode()
    writer.write(
        b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\nidempotency-key: %b\r\n"
        b"content-length: %d\r\n\r\n%b"
        % (CHAT.encode(), KEY.encode(), key.encode(), len(body), body)
    )
    return Slow(reader, writer)


def memory(child: Child) -> int:
    """Resident bytes."""
    status = Path(f"/proc/{child.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


async def test_a_slow_client_slows_down_nobody_else(shared: Rig) -> None:
    slow = await ask(shared, "slow")
    answering = await shared.worker.take()
    await answering.begin()
    async with shared.gateway.http() as http:
        fast = http.stream(
            "POST", CHAT, json=asking(stream=True), headers={"idempotency-key": "slow"}
        )
        async with fast as response:
            for _ in range(PIECES):
                await answering.say(Text(PIECE))
            await answering.say(Finished())
            assert await text_of(response) == PIECE * PIECES

    assert await slow.text() == PIECE * PIECES
    await slow.leave()


async def test_clients_that_do_not_read_cost_no_memory_and_lose_no_word(shared: Rig) -> None:
    crowd = [await ask(shared, "crowd")]
    answering = await shared.worker.take()
    await answering.begin()

    async def all_read() -> bool:
        return bool(await shared.redis.scard(keys.readers(answering.job.id)) == len(crowd))

    while len(crowd) < CROWD:
        # Not all at once: this machine has other things to do.
        crowd.append(await ask(shared, "crowd"))
        if len(crowd) % 50 == 0:
            await eventually(all_read, "all readers")
    before = memory(shared.gateway.child)
    for _ in range(PIECES):
        await answering.say(Text(PIECE))
    await answering.say(Finished())
    # A client that reads is served meanwhile, and by then all that would be kept is kept.
    async with shared.gateway.http() as http:
        asked = asyncio.create_task(http.post(CHAT, json=asking("fast")))
        await shared.worker.take(words)
        assert (await asked).status_code == 200
    grown = memory(shared.gateway.child) - before

    # A quarter of a megabyte for each; all of the answer would be a gigabyte.
    assert grown < CROWD * 256 * 1024
    for slow in crowd[:3]:
        assert await slow.text() == PIECE * PIECES
    for slow in crowd:
        await slow.leave()
    await eventually(lambda: nobody(shared), "all to be gone")


async def nobody(rig: Rig) -> bool:
    return await rig.metric("poe2gpt_active_requests") == 0
