"""Checks that a port is free before anything starts, and finds the process that holds it."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from gateway.listening import addresses
from poe2gpt.terminal import CommandError

_LISTENING = "0A"  # in /proc/net/tcp


def is_free(host: str, port: int) -> bool:
    """Return whether a server could listen there; False if another one does.

    Raises CommandError if listening fails for any other reason.
    """
    return all(_is_free(address, port) for address in addresses(host))


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Ignore connections in TIME_WAIT from a server that has just ended.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise CommandError(f"cannot listen on {address}, port {port}: {error.strerror}") from None
    return True


def ensure_free(host: str, port: int, instead: str = "") -> None:
    """Raise CommandError, naming the process that holds the port, if it is in use.

    `instead` says how to use another port, where that is not the flag `-p`.
    """
    if not is_free(host, port):
        raise CommandError(
            f"port {port} is in use{_by_whom(port)}\n"
            f"stop that process, or {instead or f'use another port: poe2gpt -p {port + 1}'}"
        )


def next_free(host: str, port: int) -> int:
    """Return the first free port from `port` on. Raises CommandError if a hundred are in use."""
    for candidate in range(port, min(port + 100, 65_536)):
        if is_free(host, candidate):
            return candidate
    raise CommandError(f"ports {port} to {port + 99} are all in use")


def any_free() -> int:
    """Return a loopback port that is free now, chosen by the kernel."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _by_whom(port: int) -> str:
    # Works on Linux, for processes that we may inspect; otherwise the name stays unknown.
    inodes = {f"socket:[{inode}]" for inode in _listeners(port)}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if inodes & {str(file.readlink()) for file in (process / "fd").iterdir()}:
                return f" by {(process / 'comm').read_text().strip()} (PID {process.name})"
        except OSError:
            continue
    return ""


def _listeners(port: int) -> set[str]:
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        if table.exists():
            for line in table.read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == _LISTENING and int(local.rpartition(":")[2], 16) == port:
                    found.add(inode)
    return found
