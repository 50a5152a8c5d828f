"""The real nginx, unprivileged, in a directory of its own, with the project's configuration."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

CONFIGURATION = Path(__file__).parents[2] / "nginx"
# Debian keeps nginx where only root looks for programs.
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/local/sbin:/usr/sbin")


@dataclass(frozen=True)
class Edge:
    """A running nginx."""

    port: int
    log: Path
    """Access and error log in one."""
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def stop(self) -> None:
        """Finish what is under way, as `nginx -s quit` does."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGQUIT)
        await self.process.wait()


StartNginx = Callable[..., Awaitable[Edge]]


@pytest.fixture
async def start_nginx(tmp_path: Path) -> AsyncIterator[StartNginx]:
    """Start nginx before gateways on these ports; `edits` replace text of the configuration."""
    async with AsyncExitStack() as running:

        async def start(*gateways: int, edits: Mapping[str, str] | None = None) -> Edge:
            port = free_port()
            prefix = configure(tmp_path, port, gateways, edits or {})
            return await running.enter_async_context(running_nginx(prefix, port))

        yield start


def configure(prefix: Path, port: int, gateways: tuple[int, ...], edits: Mapping[str, str]) -> Path:
    """Lay out a prefix for `nginx -p`: the project's files, moved to our ports."""
    if not NGINX:
        pytest.skip("there is no nginx on this machine")
    texts = {name: (CONFIGURATION / name).read_text() for name in _FILES}
    server = re.search(r"server 127\.0\.0\.1:3700(.*)\n", texts["upstream-local.conf"])
    assert server
    servers = "".join(f"server 127.0.0.1:{gateway}{server[1]}\n" for gateway in gateways)
    ours = {
        "include upstream-docker.conf;": "include upstream-local.conf;",
        "listen 8080;": f"listen 127.0.0.1:{port};",
        server[0]: servers,
    }
    for old, new in {**ours, **edits}.items():
        assert any(old in text for text in texts.values()), f"no {old!r} in nginx/"
        texts = {name: text.replace(old, new) for name, text in texts.items()}
    for name, text in texts.items():
        (prefix / name).write_text(text)
    return prefix


def nginx_command(prefix: Path) -> list[str]:
    # Started by root, nginx would run its workers as nobody, who may not enter our directory.
    user = " user root;" if os.geteuid() == 0 else ""
    conf = str(prefix / "nginx.conf")
    return [str(NGINX), "-e", "stderr", "-p", f"{prefix}", "-c", conf, "-g", f"daemon off;{user}"]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def accepting(port: int) -> None:
    """Return once somebody listens on `port`."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
        else:
            writer.close()
            return


@asynccontextmanager
async def running_nginx(prefix: Path, port: int) -> AsyncIterator[Edge]:
    log = prefix / "nginx.log"
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *nginx_command(prefix), stdout=output, stderr=output
        )
    try:
        async with asyncio.timeout(10):
            await accepting(port)
        yield Edge(port, log, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


_FILES = ("nginx.conf", "poe2gpt.conf", "upstream-local.conf")
