"""Where a request comes from, and whether one without a key may be answered. Pure.

Without access tokens whoever reaches the gateway may spend points, and a web page in the
operator's browser reaches it: it can send a request to this machine, or have its own name resolved
to 127.0.0.1 (DNS rebinding). The browser gives both away: in `Origin`, and in `Host`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Sequence

Peer = tuple[str, int]
"""The address and port of a client's end of a connection."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

ANY = "*"
"""Among the allowed hosts: all of them."""

_PORT = re.compile(r":\d*$")


def plain(address: str) -> str:
    """Return an address of IPv4 as such, though it came over a socket of IPv6."""
    return address.removeprefix("::ffff:")


def client_address(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """Return who asks: the peer, or whom the trusted proxies in a row say they pass it on for.

    `forwarded` is X-Forwarded-For, to which each proxy appends whom it was asked by. What stands
    before the first untrusted address from the right is that client's claim, and not believed.
    """
    address = peer
    hops = [hop.strip() for hop in forwarded.split(",") if hop.strip()]
    while hops and _is_in(address, trusted):
        if _parsed(hops[-1]) is None:
            break
        address = hops.pop()
    return address


def refused_host(host: str, allowed: Collection[str], *, exposed: bool) -> bool:
    """Return whether a request to this Host may be a rebound name.

    A gateway that is `exposed`, since the operator has set `host`, is also called by address, which
    nobody can rebind.
    """
    name = _name(host)
    if ANY in allowed or name in allowed or is_loopback(name):
        return False
    return not (exposed and _parsed(name) is not None)


def refused_origin(origin: str, host: str, allowed: Collection[str]) -> bool:
    """Return whether a foreign web page sends this: `origin` and `host` are the headers."""
    if not origin or ANY in allowed:
        return False
    place = origin.partition("://")[2].lower()
    name = _name(place)
    same = place == host.lower()
    return not (name and (same or name in allowed or is_loopback(name)))


def _name(host: str) -> str:
    """Return a host without its port, in lower case; IPv6 without brackets."""
    return _PORT.sub("", host.rpartition("@")[2].lower()).strip("[]").rstrip(".")


def is_loopback(name: str) -> bool:
    """Return whether a host's name or address is always this machine's."""
    parsed = _parsed(name)
    if parsed is None:
        return name == "localhost" or name.endswith(".localhost")
    return parsed.is_loopback


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in networks)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
