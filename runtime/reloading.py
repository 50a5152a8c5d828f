"""Takes over settings that have changed while a process runs: on SIGHUP, and when a file changes.

The process cannot read its configuration itself, for that may hold secrets which are not its own.
So a short-lived child of the command's reads and checks it, and hands over this process's part. It
finds what else it needs, such as flags and variables, behind an inherited descriptor (the *source*)
of which this process reads only the beginning: which files to watch.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from struct import Struct
from typing import Any

import msgspec

from runtime import tasks

_log = logging.getLogger("settings")

LOOK_EVERY = 1.0
"""Seconds between two looks at the files."""

PATIENCE = 30.0
"""Seconds that the child may take."""

Files = dict[str, str]
"""The files that settings were read from, each with what tells one content from another."""

_HEAD = Struct("!Q")


class Reloading:
    """Follows the settings behind one source, until its task is cancelled.

    `module` is what the child runs; `take` gets the new settings, encoded, and may raise ValueError
    to refuse them. `stop` is called when SIGHUP means that the terminal is gone.
    """

    def __init__(
        self,
        fd: int,
        module: str,
        take: Callable[[bytes], None],
        stop: Callable[[], object],
    ) -> None:
        self._fd = fd
        self._command = (sys.executable, "-P", "-m", module, "--source-fd", str(fd))
        self._take = take
        self._stop = stop
        self._files = watched(fd)
        self._wanted = asyncio.Event()
        self._has_terminal = os.isatty(2)

    def heed_hangup(self) -> None:
        """Reload on SIGHUP from now on. Must be called inside a running loop."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)
        # The parent blocked it, so that it does no harm during the imports.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    async def catch_up(self) -> None:
        """Reload if the files have changed since the settings were read for this process."""
        now = signatures(self._files)
        if now != self._files:
            await self._reload(now)

    async def run(self) -> None:
        """Reload whenever that is wanted."""
        while True:
            try:
                await self._wait_and_reload()
            except Exception:
                _log.exception("the settings could not be read again by our own fault")

    async def _wait_and_reload(self) -> None:
        before = signatures(self._files)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY):
                await self._wanted.wait()
        now = signatures(self._files)
        # A file that is still being written is read when it has come to rest.
        if self._wanted.is_set() or (now != self._files and now == before):
            self._wanted.clear()
            await self._reload(now)

    def _hang_up(self) -> None:
        if self._has_terminal and not os.isatty(2):
            self._stop()
        else:
            self._wanted.set()

    async def _reload(self, now: Files) -> None:
        # Whatever comes of it, the same files are not read again.
        self._files = now
        try:
            self._files, settings = await self._read()
            self._take(settings)
        except (ValueError, OSError, TimeoutError, msgspec.DecodeError) as error:
            _log.error("the settings stay as they are: %s", error or type(error).__name__)

    async def _read(self) -> tuple[Files, bytes]:
        child = await asyncio.create_subprocess_exec(
            *self._command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, pass_fds=(self._fd,)
        )
        try:
            async with asyncio.timeout(PATIENCE):
                out, said = await child.communicate()
        except BaseException:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            raise
        if child.returncode:
            raise ValueError(said.decode(errors="replace").strip().removeprefix("poe2gpt: "))
        return msgspec.msgpack.decode(out, type=tuple[Files, bytes])


@asynccontextmanager
async def reloading(
    source: int | None, take: Callable[[bytes], None], stop: Callable[[], object]
) -> AsyncIterator[None]:
    """Inside the block, take over what changes behind this source, if there is one."""
    if source is None:
        yield
        return
    follower = Reloading(source, "poe2gpt.reread", take, stop)
    follower.heed_hangup()
    # It may have taken the place of one that died long after the settings were read.
    await follower.catch_up()
    task = asyncio.create_task(follower.run())
    try:
        yield
    finally:
        await tasks.end([task])


def signatures(paths: Mapping[str, object]) -> Files:
    """Return what tells one content of these files from another; empty: there is no such file."""
    return {path: _signature(path) for path in paths}


def _signature(path: str) -> str:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return ""
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


def packed_source(files: Files, source: Any) -> bytes:
    """Return what is behind a source's descriptor: the files, and what only the child reads."""
    head = msgspec.msgpack.encode(files)
    return _HEAD.pack(len(head)) + head + msgspec.msgpack.encode(source)


def watched(fd: int) -> Files:
    """Return the files of a source, and read nothing beyond them."""
    size = _HEAD.unpack(os.pread(fd, _HEAD.size, 0))[0]
    return msgspec.msgpack.decode(os.pread(fd, size, _HEAD.size), type=Files)


def unpacked_source(data: bytes, type_: Any) -> Any:
    """Return what only the child reads."""
    size = _HEAD.unpack_from(data)[0]
    return msgspec.msgpack.decode(data[_HEAD.size + size :], type=type_)
