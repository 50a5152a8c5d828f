"""The real Codex, with the settings of docs/clients.md, at a small task of three tool rounds."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.service import Service

HERE = Path(__file__).parent / "node"
CODEX = HERE / "node_modules" / "@openai" / "codex" / "bin" / "codex.js"
DOCS = Path(__file__).parents[2] / "docs" / "clients.md"

pytestmark = pytest.mark.skipif(
    not shutil.which("node") or not CODEX.exists(),
    reason="Codex is installed by `make clients`",
)

STEPS = ["echo one > file.txt", "echo two >> file.txt", "wc -l < file.txt"]


def by_nature() -> str:
    calls = [f"call exec_command {json.dumps({'cmd': step})}" for step in STEPS]
    return "\n".join(["Please:", *calls])


def by_words() -> str:
    calls = [
        f'<tool_call name="exec_command">{json.dumps({"cmd": step})}</tool_call>' for step in STEPS
    ]
    return json.dumps([*calls, "All steps are done."])


def documented(service: Service, model: str) -> str:
    """The configuration in the documentation, for this service and model."""
    found = re.search(r"```toml\n(model = .*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    config = found[1].replace("http://127.0.0.1:3700", service.url)
    return re.sub(r'^model = ".*"', f'model = "{model}"', config)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("model", "kind", "prompt"),
    [
        pytest.param("Agent", "chat", by_nature, id="chat completions"),
        pytest.param("Bot-Agent", "bot", by_nature, id="the bot protocol"),
        pytest.param("Emulate", "bot", by_words, id="tools in words"),
    ],
)
def test_codex_does_a_task(
    service: Service, tmp_path: Path, model: str, kind: str, prompt: Any
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (home / "config.toml").write_text(documented(service, model))
    before = len(service.calls(model))

    run = subprocess.run(
        [
            *("node", str(CODEX), "exec", "--skip-git-repo-check"),
            *("--dangerously-bypass-approvals-and-sandbox", prompt()),
        ],
        cwd=work,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "CODEX_HOME": str(home),
            "POE2GPT_KEY": service.key,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.startswith("All steps are done"), run.stdout + run.stderr
    assert (work / "file.txt").read_text() == "one\ntwo\n"
    calls = [call for call in service.calls(model)[before:] if call.outcome != "refused"]
    assert [(call.kind, call.outcome) for call in calls] == [(kind, "answered")] * 4
