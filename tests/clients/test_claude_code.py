"""The real Claude Code, at a small task of three tool rounds, by each way of calling a model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.service import Service

HERE = Path(__file__).parent / "node"
CLAUDE = HERE / "node_modules" / "@anthropic-ai" / "claude-code" / "cli-wrapper.cjs"

pytestmark = pytest.mark.skipif(
    not shutil.which("node") or not CLAUDE.exists(),
    reason="Claude Code is installed by `make clients`",
)


def steps(file: Path) -> list[tuple[str, dict[str, Any]]]:
    return [
        ("Write", {"file_path": str(file), "content": "one\n"}),
        ("Bash", {"command": f"echo two >> {file}", "description": "Adds a line"}),
        ("Bash", {"command": f"wc -l < {file}", "description": "Counts the lines"}),
    ]


def by_nature(file: Path) -> str:
    return "Please:\n" + "\n".join(f"call {name} {json.dumps(a)}" for name, a in steps(file))


def by_words(file: Path) -> str:
    calls = [
        f'<tool_call name="{name}">{json.dumps(given)}</tool_call>' for name, given in steps(file)
    ]
    return json.dumps([*calls, "All steps are done."])


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("model", "kind", "prompt"),
    [
        pytest.param("Agent", "chat", by_nature, id="chat completions"),
        pytest.param("Claude-Agent", "messages", by_nature, id="messages"),
        pytest.param("Bot-Agent", "bot", by_nature, id="the bot protocol"),
        pytest.param("Emulate", "bot", by_words, id="tools in words"),
    ],
)
def test_claude_code_does_a_task(
    service: Service, tmp_path: Path, model: str, kind: str, prompt: Any
) -> None:
    file = tmp_path / "file.txt"
    before = len(service.calls(model))

    run = subprocess.run(
        [
            *("node", str(CLAUDE), "--print", prompt(file), "--model", model),
            *("--allowedTools", "Bash Write", "--output-format", "json"),
        ],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "ANTHROPIC_BASE_URL": service.url,
            "ANTHROPIC_AUTH_TOKEN": service.key,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    told = json.loads(run.stdout)
    assert (told["is_error"], told["num_turns"]) == (False, 4)
    assert told["result"].startswith("All steps are done")
    assert file.read_text() == "one\ntwo\n"
    # Poe may have refused fields before, which is free; they are left out from then on.
    calls = [call for call in service.calls(model)[before:] if call.outcome != "refused"]
    assert [(call.kind, call.outcome) for call in calls] == [(kind, "answered")] * 4
