"""compose.yaml as users start it, on a real Docker daemon, with a simulated Poe behind it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from .conftest import free_port

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
KEY = "sk-of-a-client"
NUMBERS = " ".join(str(number) for number in range(1, 11))


@dataclass(frozen=True)
class Stack:
    """A running project of Compose."""

    name: str
    port: int
    beside: tuple[str, ...] = ()
    """Files that stand beside compose.yaml."""

    def compose(self, *arguments: str) -> str:
        """Run `docker compose`, and return what it prints."""
        names = ("compose.yaml", *self.beside, "tests/e2e/compose.simulated.yaml")
        files = [word for name in names for word in ("-f", name)]
        # Neither a developer's .env nor their variables count.
        ours = {"PORT": str(self.port), "ACCESS_TOKENS": KEY}
        kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "DOCKER_HOST")}
        done = subprocess.run(
            ["docker", "compose", "--env-file", os.devnull, "-p", self.name, *files, *arguments],
            cwd=ROOT,
            env=kept | ours,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, question: str = "Count!") -> str:
        """Ask the simulated Poe to count, and return the answer's text."""
        answer = self.answer(question)
        assert answer.status_code == 200, answer.text
        text = answer.json()["choices"][0]["message"]["content"]
        assert isinstance(text, str)
        return text.strip()

    def answer(self, question: str = "Count!") -> httpx.Response:
        return httpx.post(
            f"http://127.0.0.1:{self.port}/v1/chat/completions",
            headers={"Authorization": f"Bearer {KEY}"},
            json={"model": "Count", "messages": [{"role": "user", "content": question}]},
            timeout=60,
        )

    def ask_at_once(self, times: int) -> list[str]:
        with ThreadPoolExecutor(times) as threads:
            return [each.result() for each in [threads.submit(self.ask) for _ in range(times)]]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    if not docker_answers():
        pytest.skip("no Docker daemon answers, or it lacks Compose")
    stack = Stack(f"poe2gpt-test-{os.getpid()}", free_port())
    try:
        stack.compose("up", "--detach", "--build", "--wait", "--scale", "worker=4")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")


def docker_answers() -> bool:
    try:
        for arguments in (["info"], ["compose", "version"]):
            subprocess.run(["docker", *arguments], capture_output=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return False
    return True


def test_four_workers_answer(stack: Stack) -> None:
    answers = stack.ask_at_once(8)

    assert answers == [NUMBERS] * 8


@pytest.mark.parametrize(
    ("service", "poe_tokens", "access_tokens"),
    [
        pytest.param("nginx", False, False, id="nginx has none"),
        pytest.param("gateway", False, True, id="a gateway has its clients' keys"),
        pytest.param("worker", True, False, id="a worker has the Poe tokens"),
        pytest.param("redis", False, False, id="Redis has none"),
    ],
)
def test_a_secret_is_where_it_is_needed_and_nowhere_else(
    stack: Stack, service: str, poe_tokens: bool, access_tokens: bool
) -> None:
    environment = stack.compose("exec", "-T", service, "env")

    assert ("sim-one" in environment) is poe_tokens
    assert (KEY in environment) is access_tokens


def test_nginx_has_no_way_to_redis(stack: Stack) -> None:
    found = stack.compose(
        "exec", "-T", "nginx", "sh", "-c", "getent hosts gateway; getent hosts redis || true"
    )

    assert "gateway" in found
    assert "redis" not in found


def test_more_gateways_are_found_and_fewer_are_not_missed(stack: Stack) -> None:
    stack.compose("up", "--detach", "--wait", "--scale", "worker=4", "--scale", "gateway=3")
    used: set[str] = set()
    while len(used) < 3:
        stack.ask()
        used |= set(re.findall(r'"gateway":"([\d.]+:8000)"', stack.compose("logs", "nginx")))

    stack.compose("up", "--detach", "--scale", "worker=4", "--scale", "gateway=1")
    answers = stack.ask_at_once(4)

    assert answers == [NUMBERS] * 4


def test_fewer_workers_lose_no_answer(stack: Stack) -> None:
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(stack.ask, "count to 10 every 500ms") for _ in range(8)]
        stack.compose("up", "--detach", "--wait", "--scale", "worker=2")
        answers = [each.result() for each in asked]

    assert answers == [NUMBERS] * 8
    assert stack.ask_at_once(4) == [NUMBERS] * 4


def test_a_killed_worker_is_not_missed(stack: Stack) -> None:
    stack.compose("kill", "--signal", "KILL", "worker")

    stack.compose("up", "--detach", "--wait", "--scale", "worker=4")
    answers = stack.ask_at_once(4)

    assert answers == [NUMBERS] * 4


def test_redis_comes_back_with_what_it_knew(stack: Stack) -> None:
    stack.compose("exec", "-T", "redis", "valkey-cli", "set", "kept", "yes")

    stack.compose("restart", "redis")
    stack.compose("up", "--detach", "--wait", "--scale", "worker=4")

    assert stack.compose("exec", "-T", "redis", "valkey-cli", "get", "kept").strip() == "yes"
    assert stack.ask() == NUMBERS


def test_what_is_stopped_ends_well(stack: Stack) -> None:
    stack.compose("stop")

    exited = stack.compose("ps", "--all", "--format", "{{.Service}} {{.ExitCode}}")

    ours = [line for line in exited.splitlines() if not line.startswith("simulated-poe")]
    assert set(ours) == {"nginx 0", "gateway 0", "worker 0", "redis 0"}
