"""Ends the children of a supervisor that was killed before it could do so.

The guard is a process of its own. The supervisor writes to its stdin which process groups exist:
lines of `add STAGE PID` and `gone PID`. End of file means that the supervisor is gone: only it
holds the other end of the pipe, which the kernel closes even after SIGKILL. This needs neither
Linux nor cooperation from the children, and signals whole groups, so processes that a child
has started end too.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

GRACE = 5.0
"""Seconds from the stop signal (the same as `programs.STOP`) to SIGKILL."""


class Guard:
    """The supervisor's handle on the guard process."""

    def __init__(self) -> None:
        # -I -S: the standard library suffices, and the process stays small.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            start_new_session=True,
            env={},
        )

    def add(self, stage: int, pid: int) -> None:
        self._tell(f"add {stage} {pid}\n")

    def gone(self, pid: int) -> None:
        self._tell(f"gone {pid}\n")

    def dismiss(self) -> None:
        """End every child that the guard still knows of, then the guard itself."""
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101  # it was asked for
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # the guard was killed; the service runs on without it


def kill_group(pid: int, number: int = signal.SIGKILL) -> bool:
    """Signal a process group. Returns whether any process was there."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False  # macOS raises PermissionError for a group of dead processes
    return True


def main(lines: Iterable[str]) -> None:
    # A service manager signals every process; the guard must outlive the supervisor.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stages: dict[int, int] = {}
    for line in lines:
        match line.split():
            case ["add", stage, pid]:
                stages[int(pid)] = int(stage)
            case ["gone", pid]:
                stages.pop(int(pid), None)
    for last in sorted(set(stages.values())):
        _end([pid for pid, stage in stages.items() if stage == last])


def _end(pids: list[int]) -> None:
    for pid in pids:
        kill_group(pid, signal.SIGINT)
    deadline = time.monotonic() + GRACE
    while any(kill_group(pid, 0) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in pids:
        kill_group(pid)


if __name__ == "__main__":
    main(sys.stdin)
