"""What was measured: figures of rounds, summed up, kept in a file, and shown as text."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from statistics import median

Figures = dict[str, float]
"""The figures of one round, by name; the name ends with the unit."""

Summary = dict[str, list[float]]
"""By figure: the least, the median, the most of all rounds."""

Table = dict[str, dict[str, Summary]]
"""By row and peer."""


def summary(rounds: Sequence[Figures]) -> Summary:
    """Sum up the rounds of one peer in one row."""
    columns = {name: [figures[name] for figures in rounds] for name in rounds[0]}
    return {name: [min(each), median(each), max(each)] for name, each in columns.items()}


@dataclass
class Report:
    """All that was measured on one machine, which goes to a file row by row.

    Rows that the file has from an earlier run on the same machine with the same Python stay, so a
    comparison can be made in parts.
    """

    file: Path | None = None
    rows: Table = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """Why a peer, or a peer in one row, has no figures."""

    @classmethod
    def kept_in(cls, file: Path | None) -> Report:
        """Return the report in this file, to be continued; an empty one if there is none."""
        if file is None or not file.exists():
            return cls(file)
        kept = json.loads(file.read_text())
        if kept.get("machine") != machine():
            return cls(file)
        return cls(file, kept["rows"], kept["missing"])

    def add(self, row: str, peer: str, rounds: Sequence[Figures]) -> None:
        """Add what one peer has shown in one row, in place of what it had shown before."""
        self.rows.setdefault(row, {})[peer] = summary(rounds)
        self.missing.pop(f"{peer}, {row}", None)
        self._write()

    def leave_out(self, what: str, why: str) -> None:
        """Note why there are no figures of a peer, or of a peer in one row."""
        self.missing[what] = why
        self._write()

    def _write(self) -> None:
        if self.file is not None:
            told = {
                "date": time.strftime("%Y-%m-%d"),
                "commit": _said_by("git", "rev-parse", "--short", "HEAD") or "unknown",
                "machine": machine(),
                "rows": self.rows,
                "missing": self.missing,
            }
            self.file.write_text(json.dumps(told, indent=1) + "\n")


def render(table: Table) -> str:
    """Render the figures as lines of text: the median, and the range in brackets."""
    lines = []
    for row, by_peer in table.items():
        lines.append(f"\n{row}")
        for peer, figures in by_peer.items():
            told = ", ".join(f"{name} {_told(values)}" for name, values in figures.items())
            lines.append(f"  {peer:<22} {told}")
    return "\n".join(lines)


def _told(values: list[float]) -> str:
    least, middle, most = (f"{value:.3g}" for value in values)
    return middle if least == most else f"{middle} [{least}-{most}]"


def machine() -> dict[str, str]:
    """Describe the machine, and what runs poe2gpt on it."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": f"{os.cpu_count()} x {model}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"Python {sys.version.split()[0]}",
        "redis": f"Redis {_version('redis-server', '--version')}",
        "nginx": f"nginx {_version('nginx', '-v')}",
    }


def _version(*command: str) -> str:
    found = re.search(r"\d+(\.\d+)+", _said_by(*command))
    return found[0] if found else "unknown"


@cache
def _said_by(*command: str) -> str:
    """Return what a command prints; nothing where it fails or does not exist."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return "" if done.returncode else (done.stdout or done.stderr).strip()
