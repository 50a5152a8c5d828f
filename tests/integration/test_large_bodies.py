"""Bodies that take long to read hurt nobody: neither by their time nor by their memory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from contract.messages import Finished, Text
from tests.support.deployment import eventually
from tests.support.gateway_alone import CHAT, Rig, asking, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024

FLOODS = [
    pytest.param(b'{"model":"Test","z":[%b[]]}' % (b"[]," * (5 * MIB)), id="unknown fields"),
    pytest.param(b'{"model":"Test","messages":[%b{}]}' % (b'{"role":"a"},' * MIB), id="messages"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("bodies")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def home(shared: Rig) -> Rig:
    """A gateway that has no process to read bodies yet."""
    gateway = shared.gateway.child.pid
    for pid in peaks(shared).keys() - {gateway}:
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: peaks(shared).keys() == {gateway}, "the readers' end")
    forget_peak(gateway)
    return shared


def processes(pid: int) -> Iterator[int]:
    """This process and all below it."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from processes(int(child))


def peak(pid: int) -> int:
    """The most memory that the process has had at any time, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    # One that has ended and was not looked after yet has none.
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) * 1024 if lines else 0


def forget_peak(pid: int) -> None:
    """Let the peak be counted from now on: see proc_pid_clear_refs(5)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peaks(rig: Rig) -> dict[int, int]:
    return {pid: peak(pid) for pid in processes(rig.gateway.child.process.pid)}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_body_of_many_values_takes_memory_by_its_bytes_only(
    home: Rig, flood: bytes
) -> None:
    async with home.gateway.http() as http:
        before = peaks(home)

        answer = await http.post(CHAT, content=flood)

        assert answer.status_code == 400
        assert "JSON values" in answer.json()["error"]["message"]
        after = peaks(home)
        reader = max(after[pid] for pid in after.keys() - before.keys())
        assert max(after[pid] - before[pid] for pid in before) < 4 * len(flood)
        assert reader < 4 * len(flood) + 64 * MIB


async def test_a_large_conversation_arrives_as_it_was_sent(home: Rig) -> None:
    text = 'He said "hi" and {so} 你好 😀.\n' * 100_000
    async with home.gateway.http() as http:
        asked = asyncio.create_task(http.post(CHAT, json=asking(text)))
        answering = await home.worker.take()

        await answering.say(Text("ok"), Finished())

        assert (await asked).json()["choices"][0]["message"]["content"] == "ok"
        assert answering.job.messages[0].content == text


async def test_a_process_that_reads_bodies_is_replaced_when_it_is_killed(home: Rig) -> None:
    large = json.dumps(asking("x" * 100_000, temperature=9)).encode()
    async with home.gateway.http() as http:
        before = peaks(home)
        assert (await http.post(CHAT, content=large)).status_code == 400
        (reader,) = peaks(home).keys() - before.keys()

        os.kill(reader, signal.SIGKILL)
        await eventually(lambda: reader not in peaks(home), "the reader's end")

        answer = await http.post(CHAT, content=large)
        assert answer.json()["error"]["param"] == "temperature"
