"""Clients written in JavaScript, by tests in their own language."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.service import Service

HERE = Path(__file__).parent / "node"

pytestmark = pytest.mark.skipif(
    not shutil.which("node") or not (HERE / "node_modules").exists(),
    reason="clients for Node are installed by `make clients`",
)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("tests", sorted(HERE.glob("*.test.mjs")), ids=lambda path: path.name)
def test_a_client_for_node_passes_its_tests(service: Service, tests: Path) -> None:
    run = subprocess.run(
        ["node", "--test", "--test-reporter=spec", str(tests)],
        env={**os.environ, "BASE_URL": service.base_url, "API_KEY": service.key},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
