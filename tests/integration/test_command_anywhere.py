"""The command where people really run it: odd shells, proxies, servers that are something else.

Whatever it meets there, it says in a line what is wrong, and never shows a traceback.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from gateway.listening import addresses
from poe2gpt import ports
from tests.integration.test_command import (
    COMMAND,
    KEY,
    PATIENCE,
    environment,
    line_with,
    run,
    running,
    until,
)

__all__ = ["environment"]

NOWHERE = "http://127.0.0.1:1"
TRACES = ("Traceback", "Exception ignored", "never retrieved")


def assert_told(ended: subprocess.CompletedProcess[str], status: int, word: str = "") -> None:
    said = ended.stdout + ended.stderr
    assert ended.returncode == status, said
    assert word in said
    assert not any(trace in said for trace in TRACES), said


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[int]:
    """A server that says the same to everything. Gives its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while reply and (asked := await reader.read(65_536)):
            # One for each command: they come several at a time.
            writer.write(reply * max(1, asked.count(b"\r\n*") + asked.startswith(b"*")))
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def checked(*flags: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    flags = ("check", "-t", "sim-a", "-sk", KEY, *flags)
    return await asyncio.to_thread(run, *flags, env=env, cwd=cwd)


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", "is not a Redis", id="a web server"),
        pytest.param(b"+OK\r\n", "Redis", id="what agrees to everything"),
        pytest.param(b"*0\r\n", "is not a Redis", id="empty lists"),
        pytest.param(b"$3\r\n\xff\xfe\xfd\r\n", "is not a Redis", id="binary"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x28", "is not a Redis", id="TLS"),
        pytest.param(b"-LOADING soon\r\n", "still loading", id="loading"),
        pytest.param(b"-OOM command not allowed\r\n", "is full", id="full"),
        pytest.param(b"-NOAUTH who?\r\n", "another user or password", id="locked"),
        pytest.param(b"", "redis", id="what hangs up"),
    ],
)
async def test_a_check_says_what_is_in_the_place_of_redis(
    environment: dict[str, str], tmp_path: Path, reply: bytes, word: str
) -> None:
    async with answering(reply) as port:
        url = f"redis://127.0.0.1:{port}/0"
        ended = await checked(
            "--redis-url", url, "--poe-url", NOWHERE, env=environment, cwd=tmp_path
        )

    assert_told(ended, 1, word)


VARIABLES_OF_OTHERS = [
    pytest.param({"ALL_PROXY": "socks5://127.0.0.1:1"}, "ignore ALL_PROXY", id="SOCKS"),
    pytest.param({"https_proxy": "junk:", "HTTP_PROXY": NOWHERE}, "HTTP_PROXY, https", id="HTTP"),
    pytest.param({"NO_PROXY": "[::1]"}, "", id="an exception in brackets"),
    pytest.param({"SSL_CERT_FILE": "/nowhere"}, "SSL_CERT_FILE: they", id="certificates"),
]


@pytest.mark.parametrize(("variables", "hint"), VARIABLES_OF_OTHERS)
async def test_a_check_goes_the_workers_way(
    environment: dict[str, str], tmp_path: Path, variables: dict[str, str], hint: str
) -> None:
    poe = (*COMMAND[:-1], "simulated_poe", "--port", "0")

    async with running(*poe, env=environment, cwd=tmp_path) as simulated:
        # Given as a client's base URL, too.
        url = (await line_with("http://", simulated)).split()[-1] + "/v1/"
        ended = await checked("--poe-url", url, env={**environment, **variables}, cwd=tmp_path)

    assert_told(ended, 0, hint)


@pytest.mark.parametrize(
    ("variables", "arguments", "status", "word"),
    [
        pytest.param({"POE2GPT_HOST": "no.invalid"}, [], 2, "`POE2GPT_HOST` = ", id="host"),
        pytest.param({"HOST": "x86_64-conda-linux-gnu"}, [], 1, "config", id="conda's"),
        pytest.param({"ACCESS_TOKENS": '["a"'}, [], 2, "`ACCESS_TOKENS`: it", id="half a list"),
        pytest.param({"POE_TOKENS": '"a","b"'}, [], 1, "config", id="quotes"),
        pytest.param({"POE2GPT_CONFIG": "/"}, [], 2, "Is a directory", id="a directory"),
        pytest.param({"PORT": "tcp://10.0.0.1:80"}, [], 2, "`PORT` = ", id="Kubernetes'"),
        pytest.param({}, ["--arguments-fd", "77"], 2, "unknown flag", id="a flag within"),
        pytest.param({}, ["-b", '{"a":"\\ud800"}'], 2, "not JSON", id="half an emoji"),
        pytest.param({}, ["-b", "{“a”:1}"], 2, 'where " belongs', id="typographic quotes"),
        pytest.param({}, ["--host", "\udcff"], 2, "not UTF-8", id="bytes"),
        pytest.param({}, ["--poe-url", "https://..x"], 1, "cannot be", id="a name that is none"),
        pytest.param({"TMPDIR": "/nowhere", "XDG_STATE_HOME": "/dev/null"}, [], 1, "", id="dirs"),
        pytest.param({"PYTHONIOENCODING": "ascii"}, [], 1, "", id="another encoding"),
        pytest.param({"SSLKEYLOGFILE": "/"}, [], 2, "`SSLKEYLOGFILE`: cannot", id="a log of keys"),
    ],
)
def test_nothing_that_surrounds_it_makes_a_traceback(  # noqa: PLR0917  # a table's columns
    environment: dict[str, str],
    tmp_path: Path,
    variables: dict[str, str],
    arguments: list[str],
    status: int,
    word: str,
) -> None:
    told = {"POE_TOKENS": "a", "ACCESS_TOKENS": KEY, "POE_URL": NOWHERE, **variables}

    ended = run("check", *arguments, env={**environment, **told}, cwd=tmp_path)

    assert_told(ended, status, word)


@pytest.mark.parametrize("output", ["/dev/full", "| true"])
def test_output_that_nobody_takes_is_no_traceback(
    environment: dict[str, str], tmp_path: Path, output: str
) -> None:
    command = f"{' '.join(COMMAND)} --help {output if '|' in output else '> ' + output}"

    ended = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert not any(trace in ended.stderr for trace in TRACES), ended.stderr


def _libraries(pid: int) -> int:
    maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return len({line.split()[-1] for line in maps if "site-packages" in line})


@pytest.mark.parametrize("command", ["gateway", "worker", "check"])
async def test_ctrl_c_at_the_start_is_no_traceback(
    environment: dict[str, str], tmp_path: Path, command: str
) -> None:
    port = str(ports.any_free())
    argv = (*COMMAND, command, "-p", port, "-t", "sim-a", "-sk", KEY, "--poe-url", NOWHERE)

    async with running(
        *argv, "--redis-url", "redis://127.0.0.1:1", env=environment, cwd=tmp_path
    ) as process:
        # Python itself is up, and our imports are under way.
        await until(lambda: _libraries(process.pid) >= 1)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE):
            await process.wait()

    said = (tmp_path / "stderr").read_text()
    assert not any(trace in said for trace in TRACES), said


async def test_a_name_is_listened_on_in_every_family(
    environment: dict[str, str], tmp_path: Path
) -> None:
    port = ports.any_free()
    argv = (*COMMAND, "gateway", "--host", "localhost", "-p", str(port), "-sk", KEY)
    log = tmp_path / "stderr"

    async with running(*argv, env=environment, cwd=tmp_path) as process:
        await until(lambda: "listening" in log.read_text())
        async with httpx.AsyncClient(trust_env=False) as client:
            for address in addresses("localhost"):
                host = f"[{address}]" if ":" in address else address
                answer = await client.get(f"http://{host}:{port}/healthz")
                assert answer.status_code == 200
        process.terminate()
        status = await process.wait()

    assert status == 0


def test_a_port_of_someone_else_is_a_line(environment: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        flags = ("gateway", "--host", "127.0.0.1", "-p", port, "-sk", KEY)
        ended = run(*flags, env=environment, cwd=tmp_path)

    assert_told(ended, 1, "cannot listen on 127.0.0.1")
