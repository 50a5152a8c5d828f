"""Runs work whose cost depends on untrusted data in a child process that can be stopped.

The child runs one function from bytes to bytes, call after call. The kernel limits the CPU time of
each call and the child's memory, since neither a regular expression nor a parser in C can be
interrupted from within. The parent's event loop only passes bytes on.

    parent ──── size, data ────► child: answer = function(data)
           ◄─ fault?, size, answer ─

A thread would not help: C code that holds the interpreter's lock also stops the event loop.
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
"""Bytes of a child's answer to read ahead."""
_WALL = 10
"""How many times its CPU limit a call may take in wall time, on a busy machine."""
_NICE = 5
"""A lower priority than the event loops, which keep streams alive."""
_FIRST_TO_GO = "1000"
"""The oom_score_adj with which the kernel kills a child first when memory is short."""


class TooCostly(Exception):
    """The call exceeded its limit of time or memory."""


class Offload:
    """Up to `processes` children for one function, started when there is work.

    `function` is `module:name`; it takes bytes and returns bytes. A call may use `seconds` of CPU
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
        """Return the function's result for the data, which may be given in pieces.

        Raises TooCostly, and RuntimeError if the function raises anything but MemoryError.
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
                # Its answer, still to come, would be taken for that of the next call.
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
    """Return an environment in which a child finds its modules, without the parent's secrets."""
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
    """Run as the child: answer calls until the parent closes the pipe."""
    path, seconds, memory = sys.argv[1:]
    module, _, name = path.partition(":")
    function = getattr(importlib.import_module(module), name)
    # Only the parent ends a child, even when a terminal or a service manager signals all processes.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    os.nice(_NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO)
    with suppress(ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), int(memory)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _serve(function, float(seconds), sys.stdin.buffer, sys.stdout.buffer)


def _serve(
    function: Callable[[bytes], bytes], seconds: float, calls: BinaryIO, answers: BinaryIO
) -> None:
    while len(head := calls.read(_CALL.size)) == _CALL.size:
        (size,) = _CALL.unpack(head)
        data = calls.read(size)
        # The signal kills the process, whatever it is doing.
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
        # Start afresh: memory that is still held would be missing for the next call.
        os._exit(1)
    except Exception as error:
        # The place only: the message may quote the client's data.
        *_, last = traceback.extract_tb(error.__traceback__)
        return True, f"{type(error).__name__} at {last.filename}:{last.lineno}".encode()


if __name__ == "__main__":
    main()
