"""Work in a child process that can be stopped."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from runtime.offload import Offload, TooCostly
from tests.support.told import MEMORY


@asynccontextmanager
async def offload(function: str, seconds: float = 30.0) -> AsyncIterator[Offload]:
    work = Offload(f"tests.support.told:{function}", processes=1, seconds=seconds, memory=MEMORY)
    try:
        yield work
    finally:
        await work.close()


@pytest.mark.parametrize("size", [0, 3, 5_000_000])
async def test_the_function_is_called_in_a_child_that_stays(size: int) -> None:
    data = os.urandom(size)
    async with offload("tell") as work:
        first = await work.call(b"pid")

        assert await work.call(data) == data[::-1]

        assert await work.call(b"pid") == first != str(os.getpid()).encode()


@pytest.mark.parametrize("trouble", [b"loop", b"memory", b"die"])
async def test_a_call_that_takes_too_much_is_stopped_and_the_next_one_made(trouble: bytes) -> None:
    async with offload("tell", seconds=0.5) as work:
        with pytest.raises(TooCostly):
            await work.call(trouble)

        assert await work.call(b"abc") == b"cba"


async def test_a_call_that_is_cancelled_answers_no_other() -> None:
    async with offload("tell", seconds=30) as work:
        await work.call(b"")
        call = asyncio.create_task(work.call(b"loop"))
        await asyncio.sleep(0)

        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert await work.call(b"abc") == b"cba"


async def test_a_fault_of_the_function_is_no_fault_of_the_data() -> None:
    async with offload("tell") as work:
        with pytest.raises(RuntimeError, match=r"ValueError at .*told.py:"):
            await work.call(b"raise")

        assert await work.call(b"abc") == b"cba"


async def test_a_child_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POE_TOKENS", "p-secret")

    async with offload("tell") as work:
        assert await work.call(b"secret") == b""


async def test_a_child_ends_with_its_parent() -> None:
    script = (
        "import asyncio, os, sys\n"
        "from runtime.offload import Offload\n"
        "async def main():\n"
        "    work = Offload('tests.support.told:tell',\n"
        f"        processes=1, seconds=30, memory={MEMORY})\n"
        "    print((await work.call(b'pid')).decode(), flush=True)\n"
        "    os._exit(1)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await parent.communicate()

    child = os.pidfd_open(int(out))
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().add_reader(child, ended.set_result, None)
    await asyncio.wait_for(ended, 10)
    asyncio.get_running_loop().remove_reader(child)
    os.close(child)
