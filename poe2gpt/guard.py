"""Ends every child of a supervisor that was killed and could not do it itself.

Runs as a process of its own and reads from its stdin which process groups there are. The end of
stdin means that the supervisor is gone: only it holds the other end, and the kernel closes that
even after SIGKILL. Nothing here depends on Linux, nor on the children's help; and a whole group
goes, also the processes that a child has started.

Lines are `add STAGE PID` and `gone PID`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable

GRACE = 5.0
"""Seconds from the signal to stop, which is that of `programs.STOP`, to SIGKILL."""


class Guard:
    """The supervisor's end: tells the guard what to end."""

    def __init__(self) -> None:
        # -I -S: it needs nothing but the standard library, and stays small.
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
        """End the guard, and whatever it still knows of."""
        self._process.communicate()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None  # noqa: S101  # it was asked for
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            return  # someone killed the guard: its watch is lost, the service is not


def kill_group(pid: int, number: int = signal.SIGKILL) -> bool:
    """Signal a process and all that it has started. Tells whether there was any."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False  # macOS: PermissionError is what a group of dead processes gives
    return True


def main(lines: Iterable[str]) -> None:
    # A service manager signals every process; our end is that of the supervisor.
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
