"""A real primary, two replicas and three sentinels on loopback."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from tests.support.deployment import Child, eventually, free_port, spawn

SERVICE = "p2g"
DOWN_AFTER = 1000
"""Milliseconds of silence after which a sentinel considers a server dead."""

HURRY = ("INFO-PERIOD", "200", "PUBLISH-PERIOD", "200", "ASK-PERIOD", "200", "PING-PERIOD", "200")
"""Intervals in milliseconds; by default a sentinel needs ten seconds to discover a replica."""

PASSWORD = "a/b#c?d@e"
"""A password whose characters all need escaping in a URL."""

IN_URL = "a%2Fb%23c%3Fd%40e"


class Watched:
    """A Redis with replicas, watched by sentinels."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.servers: dict[int, Child] = {}
        self.sentinels: dict[int, Child] = {}

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{port}" for port in self.sentinels)
        return f"redis+sentinel://:{IN_URL}@{hosts}/0?service={SERVICE}"

    async def start(self) -> None:
        primary = await self._start_server()
        for _ in range(2):
            await self._start_server("--replicaof", f"127.0.0.1 {primary}")
        for _ in range(3):
            await self._start_sentinel(primary)
        await eventually(self._is_settled, "the sentinels")

    async def _start_server(self, *options: str) -> int:
        port = free_port()
        directory = self.directory / f"server-{port}"
        directory.mkdir()
        self.servers[port] = await spawn(
            directory / "log",
            *(_program(), "--port", str(port), "--bind", "127.0.0.1", "--save", ""),
            *("--dir", str(directory), "--appendonly", "yes", "--repl-diskless-sync-delay", "0"),
            # As in operations.md: a primary that has lost its replicas refuses writes.
            *("--min-replicas-to-write", "1", "--min-replicas-max-lag", "10"),
            *("--requirepass", PASSWORD, "--masterauth", PASSWORD, *options),
        )
        return port

    async def _start_sentinel(self, primary: int) -> None:
        port = free_port()
        config = self.directory / f"sentinel-{port}.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {self.directory}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {primary} 2\n"
            f'sentinel auth-pass {SERVICE} "{PASSWORD}"\n'
            f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}\n"
            f"sentinel failover-timeout {SERVICE} 5000\n"
        )
        log = self.directory / f"sentinel-{port}.log"
        self.sentinels[port] = await spawn(log, _program(), str(config), "--sentinel")

        async def hurries() -> bool:
            return await self.ask(port, "SENTINEL", "DEBUG", *HURRY) is not None

        await eventually(hurries, "a sentinel")

    async def ask(self, sentinel: int, *command: str) -> Any:
        """Return a sentinel's reply; None if it does not answer."""
        client: Any = Redis(port=sentinel, decode_responses=True)
        try:
            return await client.execute_command(*command)
        except Exception:
            return None
        finally:
            await client.aclose()

    async def primary(self) -> int:
        """Return the port of the primary, according to the first sentinel."""
        found = await self.ask(
            next(iter(self.sentinels)), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE
        )
        return int(found[1])

    async def moved_from(self, primary: int) -> None:
        """Wait until every sentinel knows another primary."""

        async def moved() -> bool:
            found = [
                await self.ask(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
                for port in self.sentinels
            ]
            return all(found) and all(int(port) != primary for _, port in found)

        await eventually(moved, "the failover")

    async def _is_settled(self) -> bool:
        for sentinel in self.sentinels:
            state = await self.ask(sentinel, "SENTINEL", "MASTER", SERVICE)
            if not state or int(state["num-other-sentinels"]) < 2 or int(state["num-slaves"]) < 2:
                return False
            replicas = await self.ask(sentinel, "SENTINEL", "REPLICAS", SERVICE)
            if any(replica["master-link-status"] != "ok" for replica in replicas):
                return False
        return True

    async def stop(self) -> None:
        for child in (*self.sentinels.values(), *self.servers.values()):
            if child.process.returncode is None:
                child.process.kill()
            await child.process.wait()


def _program() -> str:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    assert program, "Sentinel needs a redis-server on PATH"
    return program


@asynccontextmanager
async def watched_redis() -> AsyncIterator[Watched]:
    with tempfile.TemporaryDirectory(prefix="p2g-") as directory:
        watched = Watched(Path(directory))
        try:
            await watched.start()
            yield watched
        finally:
            await watched.stop()
