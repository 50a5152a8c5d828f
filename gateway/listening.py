"""Where to listen: from the setting `host` to addresses that a socket can have."""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
from contextlib import suppress

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # what stands for all addresses
"""Addresses that stand for all of a machine's, and how the machine itself reaches them."""

_HOST_AND_PORT = re.compile(r"[^:]*:\d*|.*/.*", re.DOTALL)


def addresses(host: str) -> tuple[str, ...]:
    """Return this machine's addresses that `host` means, of both families.

    It is an address (IPv6 also in brackets), a name, or `*` for all addresses. Of a name's
    addresses those are left out that are another machine's, or of a family that is switched off.
    Raises ValueError, which says why nothing can listen there.
    """
    if host == "*":
        return _all_addresses()
    host = re.sub(r"^\[(.*)\]$", r"\1", host)
    if _HOST_AND_PORT.fullmatch(host):
        raise ValueError("expected a host alone; its port is the setting `port`")
    if "%" in host:
        raise ValueError("expected an address without a zone (%…), or * for all addresses")
    found = tuple(filter(_is_ours, _resolved(host)))
    if not found:
        raise ValueError("cannot listen there: this machine has no such address")
    return found


def reached_at(host: str, port: int) -> str:
    """Return the URL by which this machine reaches what listens there."""
    address = "127.0.0.1" if host == "*" else addresses(host)[0]
    address = EVERYWHERE.get(address, address)
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"


def _resolved(host: str) -> list[str]:
    if host.lower() == "localhost":
        return ["127.0.0.1", "::1"]  # RFC 6761, section 6.3, whatever /etc/hosts has
    with suppress(ValueError):
        return [str(ipaddress.ip_address(host))]
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror:
        raise ValueError("no host of this name is known") from None
    except ValueError:  # UnicodeError is one: a label that is empty or too long
        raise ValueError("this is not a host name") from None
    # IPv4 first: `localhost` is 127.0.0.1 to most who only try one.
    return sorted(dict.fromkeys(str(each[4][0]) for each in found), key=lambda each: ":" in each)


def _all_addresses() -> tuple[str, ...]:
    if not _is_ours("::"):
        return ("0.0.0.0",)  # noqa: S104  # that is what was asked for
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
        only_ipv6 = probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
    return ("0.0.0.0", "::") if only_ipv6 else ("::",)  # noqa: S104


def _is_ours(address: str) -> bool:
    try:
        try_to_bind(address, 0)
    except OSError:
        return False
    return True


def try_to_bind(address: str, port: int) -> None:
    """Raise OSError where Granian could not listen: it would panic, and print pages of it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if sys.platform == "linux":
            # As Granian does: several gateways of one user may share a port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        probe.bind((address, port))
