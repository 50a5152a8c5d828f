"""Work that a stranger's data may make long, in a child process that can be stopped.

The child runs one function of bytes to bytes, call after call. It has a bound on the CPU time of
a call and on its memory, which the kernel keeps: neither a regular expression nor a parser of C
can be interrupted from within. Its parent's event loop only passes bytes on.

    parent ──── size, data ────► child: answer = function(data)
           ◄─ fault?, size, answer ─

A thread would not do: whatever keeps the interpreter's lock for long keeps the loop from running.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import resource
import signal
import sys
import traceback
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import BinaryIO

_CALL = Struct("!I")
_ANSWER = Struct("!?I")
_PIPE_BUFFER = 1024 * 1024
"""Bytes that are read ahead of a child's answer."""
_WALL = 10
"""Times as much as its CPU time, a call may take on a machine that is busy with others."""
_NICE = 5
"""Below the loops, which have streams to keep alive."""
_FIRST_TO_GO = "1000"
"""For the kernel, when memory is short."""


class TooCostly(Exception):
    """The call takes more time or memory than it may."""


class Offload:
    """Child processes for one function, started when there is work for them.

    `function` is `module:name`; it takes bytes and returns bytes. A call may take `seconds` of CPU
    time, and a child `memory` bytes of address space.
    """

    def __init__(self, function: str, *, processes: int, seconds: float, memory: int) -> None:
        self._command = (
            sys.executable,
            "-m",
            "runtime.offload",
            function,
            f"{seconds}",
            f"{memory}",
        )
        self._patience = seconds * _WALL
        self._places = asyncio.Semaphore(processes)
        self._idle: list[Process] = []

    async def call(self, *data: bytes) -> bytes:
        """Return what the function makes of the data, which may come in pieces.

        Raises TooCostly, and RuntimeError where the function raises anything but MemoryError.
        """
        async with self._places:
            child = await self._child()
            try:
                async with asyncio.timeout(self._patience):
                    fault, answer = await _ask(child, data)
            except (OSError, EOFError, TimeoutError) as error:
                await _end(child)
                raise TooCostly from error
            except BaseException:
                # What it is about to say would be taken for the answer to the next call.
                await _end(child)
                raise
            self._idle.append(child)
        if fault:
            raise RuntimeError(answer.decode())
        return answer

    async def close(self) -> None:
        """End the children."""
        while self._idle:
            await _end(self._idle.pop())

    async def _child(self) -> Process:
        while self._idle:
            child = self._idle.pop()
            if child.returncode is None:
                return child
        return await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=_PIPE_BUFFER,
            env=_environment(),
        )


def _environment() -> dict[str, str]:
    """Return what a child needs to find its modules: no secret of the parent's."""
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    return {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


async def _ask(child: Process, data: tuple[bytes, ...]) -> tuple[bool, bytes]:
    assert child.stdin is not None  # noqa: S101
    assert child.stdout is not None  # noqa: S101
    child.stdin.writelines((_CALL.pack(sum(map(len, data))), *data))
    await child.stdin.drain()
    fault, size = _ANSWER.unpack(await child.stdout.readexactly(_ANSWER.size))
    return fault, await child.stdout.readexactly(size)


async def _end(child: Process) -> None:
    with suppress(ProcessLookupError):
        child.kill()
    await child.wait()


def main() -> None:
    """Be the child: answer calls until the parent has gone."""
    path, seconds, memory = sys.argv[1:]
    module, _, name = path.partition(":")
    function = getattr(importlib.import_module(module), name)
    # The parent decides when a child ends, also where a terminal or a service manager signals all.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    os.nice(_NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    with suppress(ValueError):  # macOS knows no such limit
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _serve(function, float(seconds), sys.stdin.buffer, sys.stdout.buffer)


def _serve(
    function: Callable[[bytes], bytes], seconds: float, calls: BinaryIO, answers: BinaryIO
) -> None:
    while len(head := calls.read(_CALL.size)) == _CALL.size:
        (size,) = _CALL.unpack(head)
        data = calls.read(size)
        # The signal ends the process, whatever it is in the midst of.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        fault, answer = _answer(function, data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(_ANSWER.pack(fault, len(answer)))
        answers.write(answer)
        answers.flush()


def _answer(function: Callable[[bytes], bytes], data: bytes) -> tuple[bool, bytes]:
    try:
        return False, function(data)
    except MemoryError:
        # Whatever is still held would be missing from the next call's share.
        os._exit(1)
    except Exception as error:
        # Where, but not what it says: that may be the client's own words.
        *_, last = traceback.extract_tb(error.__traceback__)
        return True, f"{type(error).__name__} at {last.filename}:{last.lineno}".encode()


if __name__ == "__main__":
    main()
