"""The CPU time and memory of processes, as the kernel counts them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_CPU_CLOCK = 2
"""The clock of a process that counts what the scheduler gave it, to the nanosecond; see
`clock_getcpuclockid(3)` and the kernel's `CPUCLOCK_SCHED`."""


def cpu(pids: Iterable[int]) -> float:
    """Return the CPU seconds, user and system, that processes and their children have used."""
    return sum(_cpu(pid) for root in pids for pid in family(root))


def resident(pids: Iterable[int]) -> int:
    """Return the bytes of memory that processes and their children hold."""
    return sum(_resident(pid) for root in pids for pid in family(root))


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in children:
            found += family(int(child))
    return found


def _cpu(pid: int) -> float:
    try:
        return time.clock_gettime((~pid << 3) | _CPU_CLOCK)
    except OSError:
        return 0.0


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0
