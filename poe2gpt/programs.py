"""The programs that the command starts, and how each gets its settings.

Settings travel in an inherited file without a name, never in arguments or variables; and the
variables that hold secrets end here: a gateway must have no way to a Poe token.
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
    """Something that is started, watched, and started again when it dies."""

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    settings: msgspec.Struct | None = None
    """Given as `--settings-fd N`, anew at each start."""
    cwd: Path | None = None
    files: tuple[int, ...] = ()
    """Descriptors that it inherits."""
    log: Path | None = None
    """Where its output goes, if not to ours."""
    stage: int = 0
    """At the end, lower stages are over before higher ones are asked to stop."""


STOP = signal.SIGINT
"""What asks a program to stop.

It is started with SIGTERM blocked, which nothing that we start undoes: systemd signals all
processes of a service at once, and Redis would be gone while answers are still on their way.
"""

GATEWAY, WORKER, BENEATH = range(3)
"""Stages: answers are relayed as long as they are made, and what both need goes last."""


def module(name: str) -> tuple[str, ...]:
    """Tell the command line of a module of ours."""
    # -P: a `worker.py` in the current directory is not our worker.
    return (sys.executable, "-P", "-m", name)


def environment_without(names: Collection[str]) -> dict[str, str]:
    """Copy this process's environment but for these variables."""
    return {name: value for name, value in os.environ.items() if name not in names}


async def start(program: Program) -> Process:
    """Start a program in a session of its own, so that Ctrl-C reaches nobody but us.

    Nor does SIGTERM: see `STOP`.
    """
    fds = [] if program.settings is None else [write_settings(program.settings)]
    log = None if program.log is None else program.log.open("ab")
    # Inherited by the program, which is there before this first waits for anything.
    # Our own unblock SIGINT as soon as they heed it.
    blocked = {signal.SIGTERM, STOP} if program.settings is not None else {signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    try:
        return await create_subprocess_exec(
            *program.argv,
            *(word for fd in fds for word in ("--settings-fd", str(fd))),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=program.environment,
            cwd=program.cwd,
            pass_fds=(*fds, *program.files),
            start_new_session=True,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
        for fd in fds:
            os.close(fd)
        if log is not None:
            log.close()


def become(program: Program) -> NoReturn:
    """Replace this process by the program: its PID, signals and exit status are its own."""
    argv = program.argv
    if program.settings is not None:
        fd = write_settings(program.settings)
        os.set_inheritable(fd, True)
        argv += ("--settings-fd", str(fd))
    # Python would answer a Ctrl-C during its imports with a traceback. The program takes it as
    # soon as it knows how to end.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.execve(argv[0], argv, program.environment)  # noqa: S606
