"""Starts programs, and passes their settings on.

Settings are passed in an inherited, unnamed file, never in arguments or variables. Variables that
hold secrets are not passed on at all: a gateway must have no access to a Poe token.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process, create_subprocess_exec
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

import msgspec

from contract.config import write_settings


class Program(msgspec.Struct, frozen=True):
    """A program to run: its command line, environment and settings."""

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    settings: msgspec.Struct | None = None
    """Passed as `--settings-fd N`, written anew for each start."""
    source: int | None = None
    """The descriptor of where it has them from, passed as `--source-fd N`: see `reread`."""
    cwd: Path | None = None
    files: tuple[int, ...] = ()
    """File descriptors that it inherits."""
    log: Path | None = None
    """The file for its output; None: our own stdout and stderr."""
    stage: int = 0
    """At shutdown, a stage is asked to stop only when all lower stages have ended."""


STOP = signal.SIGINT
"""The signal that asks a program to stop.

Programs start with SIGTERM blocked and keep it blocked: systemd signals all processes of a
service at once, and Redis would end while answers are still being relayed.
"""

GATEWAY, WORKER, BACKING = range(3)
"""Stages. Gateways end first, when their answers are relayed; Redis, which both need, ends last."""


def module(name: str) -> tuple[str, ...]:
    """Return the command line that runs a module."""
    # -P: do not import a `worker.py` from the current directory.
    return (sys.executable, "-P", "-m", name)


def environment_without(names: Collection[str]) -> dict[str, str]:
    """Return a copy of this process's environment without these variables."""
    return {name: value for name, value in os.environ.items() if name not in names}


async def start(program: Program) -> Process:
    """Start a program in a session of its own, so that Ctrl-C in the terminal does not reach it.

    It ignores SIGTERM as well: see `STOP`.
    """
    fds = [] if program.settings is None else [write_settings(program.settings)]
    log = None if program.log is None else program.log.open("ab")
    # The child inherits this mask: it is forked before `create_subprocess_exec` first awaits.
    # Our own programs unblock SIGINT once they handle it.
    blocked = {signal.SIGTERM, STOP} if program.settings is not None else {signal.SIGTERM}
    inherited = program.files
    argv = program.argv + tuple(word for fd in fds for word in ("--settings-fd", str(fd)))
    if program.source is not None:
        blocked.add(signal.SIGHUP)
        argv += ("--source-fd", str(program.source))
        inherited += (program.source,)
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    try:
        return await create_subprocess_exec(
            *argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=program.environment,
            cwd=program.cwd,
            pass_fds=(*fds, *inherited),
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        for fd in fds:
            os.close(fd)
        if log is not None:
            log.close()


def become(program: Program) -> NoReturn:
    """Replace this process with the program, which keeps its PID."""
    argv = program.argv
    if program.settings is not None:
        fd = write_settings(program.settings)
        os.set_inheritable(fd, True)
        argv += ("--settings-fd", str(fd))
    if program.source is not None:
        os.set_inheritable(program.source, True)
        argv += ("--source-fd", str(program.source))
    # During imports, Python answers Ctrl-C with a traceback. The program unblocks SIGINT once
    # it can shut down cleanly.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    os.execve(argv[0], argv, program.environment)  # noqa: S606
