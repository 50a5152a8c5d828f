"""compose.yaml as users start it, on a real Docker daemon, with a simulated Poe behind it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from .conftest import free_port

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
KEY = "sk-of-a-client"
POE_TOKENS = ("sim-one", "sim-two", "sim-three", "sim-four")
NUMBERS = " ".join(str(number) for number in range(1, 11))


@dataclass(frozen=True)
class Stack:
    """A running project of Compose."""

    name: str
    port: int
    secrets: Path
    """Where setup.sh has made its secrets."""
    beside: tuple[str, ...] = ()
    """Files that stand beside compose.yaml."""
    admin_port: int = field(default_factory=free_port)

    def compose(self, *arguments: str) -> str:
        """Run `docker compose`, and return what it prints."""
        names = ("compose.yaml", *self.beside, "tests/e2e/compose.simulated.yaml")
        files = [word for name in names for word in ("-f", name)]
        # Neither a developer's .env nor their variables count.
        ours = {
            "PORT": str(self.port),
            "ADMIN_PORT": f"127.0.0.1:{self.admin_port}",
            "SECRETS": str(self.secrets),
        }
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

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text().strip()

    def redis(self, *words: str) -> str:
        """Say something to Redis, and return what it answers."""
        login = f"REDISCLI_AUTH={self.secret('redis_password')}"
        return self.compose("exec", "-T", "-e", login, "redis", "valkey-cli", *words).strip()

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


def make_secrets(directory: Path) -> Path:
    """Run setup.sh, as somebody who has the simulated Poe's tokens."""
    given = {"POE_TOKENS": ",".join(POE_TOKENS), "ACCESS_TOKENS": KEY, "SECRETS": str(directory)}
    subprocess.run(
        ["sh", "setup.sh"], cwd=ROOT, env={"PATH": os.environ["PATH"], **given}, check=True
    )
    return directory


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if not docker_answers():
        pytest.skip("no Docker daemon answers, or it lacks Compose")
    secrets = make_secrets(tmp_path_factory.mktemp("compose") / "secrets")
    stack = Stack(f"poe2gpt-test-{os.getpid()}", free_port(), secrets)
    try:
        stack.compose("up", "--detach", "--build", "--wait", "--scale", "worker=4")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")


def docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


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
    ("service", "holds"),
    [
        pytest.param("nginx", [], id="nginx has none"),
        pytest.param(
            "gateway",
            ["access_tokens", "fingerprint_key", "redis_url"],
            id="a gateway has its clients' keys",
        ),
        pytest.param(
            "worker",
            ["fingerprint_key", "poe_tokens", "redis_url", "token_key"],
            id="a worker has Poe's tokens",
        ),
        pytest.param("admin", ["admin_token", "redis_url"], id="the admin page has its own"),
        pytest.param("redis", ["redis_password"], id="Redis has its own"),
    ],
)
def test_a_secret_is_where_it_is_needed_and_nowhere_else(
    stack: Stack, service: str, holds: list[str]
) -> None:
    found = stack.compose("exec", "-T", service, "sh", "-c", "ls /run/secrets 2>/dev/null || true")

    assert found.split() == holds


def test_docker_and_ps_show_no_secret(stack: Stack) -> None:
    containers = stack.compose("ps", "--all", "--quiet").split()
    inspected = docker("inspect", *containers)
    processes = "".join(docker("top", container, "-eo", "pid,args") for container in containers)

    assert len(containers) >= 8
    for secret in (
        *POE_TOKENS,
        KEY,
        stack.secret("redis_password"),
        stack.secret("fingerprint_key"),
        stack.secret("token_key"),
    ):
        assert secret not in inspected
        assert secret not in processes


def test_the_admin_page_makes_keys_and_sees_the_accounts(stack: Stack) -> None:
    login = {"Authorization": f"Bearer {stack.secret('admin_token')}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.admin_port}", timeout=60) as page:
        refused = page.get("/accounts")
        made = page.post("/api/keys", json={"name": "composed"}, headers=login)
        page.post("/login", data={"token": stack.secret("admin_token"), "to": "/keys"})
        keys, accounts = page.get("/keys"), page.get("/accounts")

    assert refused.status_code == 401
    assert (made.status_code, keys.status_code, accounts.status_code) == (201, 200, 200)
    assert ">composed</a>" in keys.text
    # Each token is shown with the worker that has it.
    assert accounts.text.count('<th scope="row">') == len(POE_TOKENS)
    assert not any(token in accounts.text for token in POE_TOKENS)


def test_redis_answers_nobody_without_its_password(stack: Stack) -> None:
    told = stack.compose("exec", "-T", "redis", "valkey-cli", "dbsize")

    assert "NOAUTH" in told


def test_the_admin_page_is_published_to_this_machine_only(stack: Stack) -> None:
    published = stack.compose("port", "admin", "3701").split()

    assert published == [f"127.0.0.1:{stack.admin_port}"]


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


def test_no_consumer_is_left_of_a_worker_that_is_gone(stack: Stack) -> None:
    streams = stack.redis("--scan", "--pattern", "p2g:jobs:*").split()

    assert streams
    assert [stack.redis("xinfo", "consumers", stream, "workers") for stream in streams] == [""]


def test_redis_comes_back_with_what_it_knew(stack: Stack) -> None:
    stack.redis("set", "kept", "yes")

    stack.compose("restart", "redis")
    stack.compose("up", "--detach", "--wait", "--scale", "worker=4")

    assert stack.redis("get", "kept") == "yes"
    assert stack.ask() == NUMBERS


def test_what_is_stopped_ends_well(stack: Stack) -> None:
    stack.compose("stop")

    exited = stack.compose("ps", "--all", "--format", "{{.Service}} {{.ExitCode}}")

    ours = [line for line in exited.splitlines() if not line.startswith("simulated-poe")]
    assert set(ours) == {"nginx 0", "gateway 0", "worker 0", "admin 0", "redis 0"}
