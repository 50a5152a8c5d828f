"""What holds for all tests.

Where everything is said to be installed, a skipped test is a failed one.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings

# How long an example takes depends on what else the machine does.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

# The tests start hundreds of processes, and compiling takes as long as all else that each does to
# start. The bytecode stays out of the source, for those who want none there.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")

# A shell starts what it runs in the background with SIGINT ignored, and so would the processes be
# that the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

NO_SKIP = bool(os.environ.get("POE2GPT_NO_SKIP"))
MAY_BE_MISSING = ("Docker", "Chromium", "make clients", "PostgreSQL")
"""What the reason of a skip may name all the same."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _fail_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _fail_if_skipped((yield))


def _fail_if_skipped(report: Report) -> Report:
    reason = str(report.longrepr)
    expected = hasattr(report, "wasxfail") or any(name in reason for name in MAY_BE_MISSING)
    if NO_SKIP and report.skipped and not expected:
        report.outcome = "failed"
        report.longrepr = f"POE2GPT_NO_SKIP is set, and this was skipped: {reason}"
    return report
