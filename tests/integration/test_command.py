"""The command, run for real, with a simulated Poe where one is needed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from poe2gpt import embedded, ports
from poe2gpt.programs import Program
from poe2gpt.supervisor import Supervisor
from poe2gpt.terminal import CommandError
from tests.support.deployment import eventually

COMMAND = (sys.executable, "-P", "-m", "poe2gpt")
KEY = "sk-of-the-test"
LOGIN = "login-of-the-test-0123456789"
VARIABLES = (
    "POE_TOKENS",
    "ACCESS_TOKENS",
    "PORT",
    "HOST",
    "POE2GPT_HOST",
    "REDIS_URL",
    "POE_URL",
    "POE2GPT_CONFIG",
)
PATIENCE = 20.0


def clean(place: Path) -> dict[str, str]:
    """An environment without our variables, whose state is kept in this folder."""
    others = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return {**others, "XDG_STATE_HOME": str(place / "state")}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return clean(tmp_path)


def run(*arguments: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  # other processes set no event of ours
            await asyncio.sleep(0.02)


def shown(name: str, pid: int) -> str:
    """What the kernel shows of a process: its `cmdline` or its `environ`."""
    return Path(f"/proc/{pid}/{name}").read_text()


def children(pid: int) -> dict[int, str]:
    """The processes that one process has started, by their command lines."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            line = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if int(parent) == pid and state != "Z":
            found[int(stat.parent.name)] = line
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def named(name: str, pid: int) -> list[int]:
    return [child for child, line in children(pid).items() if name in line]


@asynccontextmanager
async def running(*argv: str, env: dict[str, str], cwd: Path) -> AsyncIterator[Process]:
    with (cwd / "stderr").open("ab") as log:
        process = await create_subprocess_exec(*argv, env=env, cwd=cwd, stdout=PIPE, stderr=log)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_with(text: str, process: Process) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        async for line in process.stdout:
            if text in line.decode():
                return line.decode()
    raise AssertionError(f"it ended without a word of {text!r}")


@asynccontextmanager
async def serving(
    *flags: str, env: dict[str, str], cwd: Path
) -> AsyncIterator[tuple[Process, str]]:
    poe = (sys.executable, "-P", "-m", "simulated_poe", "--port", "0")
    async with running(*poe, env=env, cwd=cwd) as simulated:
        poe_url = (await line_with("http://", simulated)).split()[-1]
        port = str(ports.any_free())
        argv = (*COMMAND, *flags, "-p", port, "--poe-url", poe_url, "-sk", KEY, "-t", "sim-a,sim-b")
        async with running(*argv, env=env, cwd=cwd) as process:
            await line_with("is ready", process)
            yield process, f"http://127.0.0.1:{port}"


async def ask(url: str, model: str = "Echo", key: str = KEY) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        headers = {"Authorization": f"Bearer {key}"}
        response = await client.post(f"{url}/v1/chat/completions", json=body, headers=headers)
    return str(response.json()["choices"][0]["message"]["content"])


@pytest.mark.parametrize(
    ("text", "arguments", "status", "message"),
    [
        pytest.param(None, [], 2, "no Poe token is given", id="nothing at all"),
        pytest.param("tokens = [", [], 2, "not TOML", id="broken file"),
        pytest.param("rateLimt = 3", ["-t", "a"], 2, "did you mean `rateLimit`?", id="unknown key"),
        pytest.param(None, ["--prt", "1"], 2, "did you mean --port?", id="unknown flag"),
        pytest.param(None, ["-t", "a", "-s", "2"], 2, "no flag -s; set", id="no flag of ours"),
        pytest.param(None, ["-t", "a", "--host", "192.0.2.1"], 2, "cannot listen there", id="host"),
        pytest.param(None, ["--config", "."], 2, "Is a directory", id="a directory"),
    ],
)
def test_what_is_wrong_is_said_in_two_lines(  # noqa: PLR0917  # a table's columns
    environment: dict[str, str],
    tmp_path: Path,
    text: str | None,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    if text is not None:
        (tmp_path / "config.toml").write_text(text)

    ended = run(*arguments, env=environment, cwd=tmp_path)

    assert ended.returncode == status
    assert message in ended.stderr
    assert len([line for line in ended.stderr.splitlines() if "warning" not in line]) <= 2
    assert "Traceback" not in ended.stderr


def test_a_taken_port_is_named_before_anything_starts(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("-t", "a", "-p", port, env=environment, cwd=tmp_path)

    assert ended.returncode == 1
    assert f"port {port} is in use by " in ended.stderr
    assert f"(PID {os.getpid()})" in ended.stderr
    assert not (tmp_path / "state").exists()


@dataclass(frozen=True)
class Served:
    """What was seen of a command that served, and has ended."""

    answer: str
    started: list[int]
    shown: list[str]
    """The command lines of all processes, and the environments of those it has started."""
    status: int
    page: httpx.Response
    """What the admin page said to whoever has the login token."""
    checked: str
    """What `poe2gpt check` said meanwhile."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    place = tmp_path_factory.mktemp("served")
    admin_port = ports.any_free()
    (place / "config.toml").write_text(f'tokens = ["env:TEAM"]\nadminPort = {admin_port}\n')
    secrets = {"ACCESS_TOKENS": KEY, "TEAM": "sim-c", "POE_TOKENS": "sim-d", "ADMIN_TOKEN": LOGIN}
    async with serving(env=clean(place) | secrets, cwd=place) as (process, url):
        answer, page = await ask(url), await log_in(admin_port, LOGIN)
        own_line = shown("cmdline", process.pid)
        lines = children(process.pid)
        environments = [shown("environ", pid) for pid in lines]
        flags = ("check", "-p", url.rpartition(":")[2], "--poe-url", "http://127.0.0.1:1")
        check = await asyncio.to_thread(run, *flags, env=clean(place) | secrets, cwd=place)
        process.terminate()
        status = await process.wait()
    told = [own_line, *lines.values(), *environments]
    return Served(answer, list(lines), told, status, page, check.stdout)


def test_it_serves_and_ends_all_it_has_started(served: Served) -> None:
    assert served.answer == "hello"
    assert len(served.started) == 6  # the guard, Redis, the gateway, two workers, the admin page
    assert served.status == 0
    assert not [pid for pid in served.started if alive(pid)]


def test_no_secret_is_in_a_command_line_nor_in_the_environment_of_a_child(served: Served) -> None:
    for text in served.shown:
        assert not [secret for secret in ("sim-", KEY, LOGIN) if secret in text]


def test_it_has_an_admin_page_where_there_is_a_login_token(served: Served) -> None:
    assert served.page.status_code == 200
    assert "<h1>Keys</h1>" in served.page.text


async def log_in(port: int, token: str) -> httpx.Response:
    """Log in to the admin page, and return what that leads to."""
    base = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=base, trust_env=False, follow_redirects=True) as http:
        return await http.post("/login", data={"token": token, "to": "/keys"})


def test_a_check_looks_into_the_redis_of_the_serve_that_runs_on_the_port(served: Served) -> None:
    assert "redis.sock: " in served.checked
    assert "none given" not in served.checked


async def test_a_service_manager_that_signals_every_process_cuts_no_answer(
    environment: dict[str, str], tmp_path: Path
) -> None:
    async with serving("-c", "0", env=environment, cwd=tmp_path) as (process, url):
        body = {
            "model": "Count",
            "stream": True,
            "messages": [{"role": "user", "content": "count to 20 every 100ms"}],
        }
        headers = {"Authorization": f"Bearer {KEY}"}
        async with (
            httpx.AsyncClient(trust_env=False, timeout=PATIENCE, headers=headers) as http,
            http.stream("POST", f"{url}/v1/chat/completions", json=body) as answer,
        ):
            lines = answer.aiter_lines()
            told = [await anext(lines)]
            # As systemd does with KillMode=control-group, its default, and then as a wrapper that
            # passes on what it has heard itself.
            for pid in 2 * (process.pid, *children(process.pid)):
                os.kill(pid, signal.SIGTERM)
            told += [line async for line in lines]
        status = await process.wait()

    assert told[-2:] == ["data: [DONE]", ""]
    assert not [line for line in told if '"error"' in line]
    assert status == 0


async def test_a_worker_that_dies_is_replaced(environment: dict[str, str], tmp_path: Path) -> None:
    async with serving("--workers", "1", env=environment, cwd=tmp_path) as (process, url):
        [first] = named("-m worker", process.pid)
        os.kill(first, signal.SIGKILL)
        await until(lambda: named("-m worker", process.pid) not in ([], [first]))
        answer = await ask(url)
        process.terminate()
        status = await process.wait()

    assert answer == "hello"
    assert status == 0
    assert "worker 1 was killed by SIGKILL; starting it again" in (tmp_path / "stderr").read_text()


async def test_nothing_outlives_a_killed_supervisor(
    environment: dict[str, str], tmp_path: Path
) -> None:
    async with serving(env=environment, cwd=tmp_path) as (process, _):
        started = children(process.pid)
        process.kill()
        await process.wait()
        await until(lambda: not [pid for pid in started if alive(pid)])

    assert len(started) == 5


async def test_what_redis_holds_outlives_the_command(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kept = []

    for _ in range(2):
        with embedded.persistent_directory(1) as place:
            supervisor = Supervisor(drain_timeout=1)

            async def startup(
                place: embedded.DataDirectory = place, told: Supervisor = supervisor
            ) -> None:
                child = told.start(embedded.program(embedded.find_server(), place))
                await embedded.until_ready(child, place)
                async with embedded.connect(place.url) as client:
                    kept.append(await client.incr("starts"))
                os.kill(os.getpid(), signal.SIGTERM)

            await supervisor.run(startup())

    assert kept == [1, 2]


def test_keys_are_made_once_for_a_directory_and_for_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kept = []

    for port in (1, 1, 2):
        with embedded.persistent_directory(port) as place:
            kept.append(embedded.made_keys(place))
            for file in ("fingerprint.key", "token.key"):
                assert (place.directory / file).stat().st_mode & 0o777 == 0o600

    assert kept[0] == kept[1]
    assert kept[0].keys() == {"fingerprintKey", "tokenKey"}
    made = [key for keys in kept[1:] for key in keys.values()]
    assert len(set(made)) == 4
    assert {len(key) for key in made} == {64}


def test_two_never_share_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    with (
        embedded.persistent_directory(1),
        pytest.raises(CommandError, match="in use"),
        embedded.persistent_directory(1),
    ):
        raise AssertionError("it was opened twice")


def test_an_unwritable_home_costs_durability_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")

    with embedded.persistent_directory(1) as place:
        assert place.directory.is_dir()

    assert "will be lost" in capsys.readouterr().err
    assert not place.directory.exists()


async def test_a_program_that_never_works_is_given_up() -> None:
    supervisor = Supervisor(drain_timeout=1)
    program = Program("failure", (sys.executable, "-S", "-c", "raise SystemExit(3)"), {})

    async def startup() -> None:
        supervisor.start(program)

    with pytest.raises(CommandError, match="failure keeps dying"):
        await supervisor.run(startup())


async def test_a_program_that_will_not_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    supervisor = Supervisor(drain_timeout=0)
    pids = tmp_path / "pids"
    deaf = (
        "import os, signal, subprocess, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        f"open({str(pids)!r} + '~', 'w').write(f'[{{os.getpid()}}, {{child.pid}}]')\n"
        f"os.rename({str(pids)!r} + '~', {str(pids)!r})\n"
        "child.wait()\n"
    )

    async def startup() -> None:
        supervisor.start(Program("deaf", (sys.executable, "-S", "-c", deaf), dict(os.environ)))
        await until(pids.exists)
        os.kill(os.getpid(), signal.SIGTERM)

    status = await supervisor.run(startup())

    started = json.loads(pids.read_text())
    await until(lambda: not [pid for pid in started if alive(pid)])
    assert status == 0


async def test_a_gateway_is_this_process_and_knows_no_poe_token(
    environment: dict[str, str], tmp_path: Path
) -> None:
    port = str(ports.any_free())
    (tmp_path / "config.toml").write_text('tokens = ["file:/not/here", "env:TEAM"]')
    argv = (*COMMAND, "gateway", "-p", port, "-sk", KEY, "--redis-url", "unix:///nowhere.sock")
    env = {**environment, "POE_TOKENS": "sim-a", "TEAM": "sim-b"}

    async with running(*argv, env=env, cwd=tmp_path) as process:
        await until(lambda: "\0gateway\0--settings-fd" in shown("cmdline", process.pid))
        seen = shown("environ", process.pid)
        line = shown("cmdline", process.pid)
        log = tmp_path / "stderr"
        await until(lambda: "listening" in log.read_text())
        process.terminate()
        status = await process.wait()

    assert "sim-" not in seen
    assert KEY not in line
    assert status == 0


async def test_a_check_tells_every_tokens_state(
    environment: dict[str, str], tmp_path: Path
) -> None:
    poe = (sys.executable, "-P", "-m", "simulated_poe", "--port", "0")

    async with running(*poe, env=environment, cwd=tmp_path) as simulated:
        poe_url = (await line_with("http://", simulated)).split()[-1]
        flags = ("check", "--poe-url", poe_url, "-sk", KEY)
        well = await asyncio.to_thread(
            run, *flags, "-t", "sim-a,sim-b", env=environment, cwd=tmp_path
        )
        unwell = await asyncio.to_thread(
            run,
            *flags,
            *("-t", "sim-a,sim-bad", "--redis-url", "redis://127.0.0.1:1"),
            env=environment,
            cwd=tmp_path,
        )

    assert (well.returncode, unwell.returncode) == (0, 1)
    assert well.stdout.count(" ok ") >= 2
    assert "redis://127.0.0.1:1 does not answer: start it" in unwell.stdout
    assert "refused: the key is wrong" in unwell.stdout
    assert "sim-a" not in well.stdout + unwell.stdout + well.stderr + unwell.stderr


async def test_a_demo_answers_at_once_and_cleans_up(
    environment: dict[str, str], tmp_path: Path
) -> None:
    port = str(ports.any_free())
    argv = (*COMMAND, "demo", "-p", port)

    async def lists_both_tokens() -> bool:
        # The workers report them one after the other.
        listed = await asyncio.to_thread(run, *recommended, env=environment, cwd=tmp_path)
        return listed.stdout.count(" workers ") == 2

    async with running(*argv, env=environment, cwd=tmp_path) as process:
        answer = await line_with("19 20", process)
        admin = await line_with("Admin page", process)
        page = await log_in(int(admin.split()[2].rpartition(":")[2]), admin.split()[-1])
        recommended = (await line_with("In another terminal", process)).split()[4:]
        await line_with("Ctrl-C to end the demo", process)
        example = await ask(f"http://127.0.0.1:{port}", "gpt-4o", "sk-demo")
        await eventually(lists_both_tokens, "a list of the tokens of both workers")
        command = ("tokens", "add", "env:NEW_TOKEN", "--account", "new", "--port", port)
        added = await asyncio.to_thread(
            run, *command, env={**environment, "NEW_TOKEN": "sim-new"}, cwd=tmp_path
        )
        started = children(process.pid)
        process.send_signal(signal.SIGINT)
        status = await process.wait()

    assert answer.split() == [str(n) for n in range(1, 21)]
    assert example == "hello"
    assert page.status_code == 200
    assert "<h1>Keys</h1>" in page.text
    assert "new-" in added.stdout
    assert recommended == ["tokens", "list", "--port", port]
    assert status == 0
    assert not [pid for pid in started if alive(pid)]
