"""Finds out whether a port is free before anything is started, and if not, who has it."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from gateway.listening import addresses
from poe2gpt.terminal import Trouble

_LISTENING = "0A"  # in /proc/net/tcp


def is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen there.

    Raises Trouble if that will not do for another reason than that someone else does.
    """
    return all(_is_free(address, port) for address in addresses(host))


def _is_free(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # Connections of a server that has just ended do not matter.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise Trouble(f"cannot listen on {address}, port {port}: {error.strerror}") from None
    return True


def ensure_free(host: str, port: int) -> None:
    """Raise Trouble, with who has it, if the port is taken."""
    if not is_free(host, port):
        raise Trouble(
            f"port {port} is taken{_by_whom(port)}\n"
            f"stop that one, or choose another port: poe2gpt -p {port + 1}"
        )


def next_free(host: str, port: int) -> int:
    """Find the first free port from `port` on. Raises Trouble if the next hundred are taken."""
    for candidate in range(port, min(port + 100, 65_536)):
        if is_free(host, candidate):
            return candidate
    raise Trouble(f"ports {port} to {port + 99} are all taken")


def any_free() -> int:
    """Let the kernel choose a port of this machine that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _by_whom(port: int) -> str:
    # Linux only, and only processes that we may look at; elsewhere the name stays unknown.
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
