"""Where a request comes from, and whether one without a key may be answered. Pure.

Without access tokens whoever reaches the gateway may spend points, and a web page in the
operator's browser reaches it: it can send a request to this machine, or have its own name resolved
to 127.0.0.1 (DNS rebinding). The browser gives both away: in `Origin`, and in `Host`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence

from runtime.hosts import ANY, is_loopback, name_of, parsed

Peer = tuple[str, int]
"""The address and port of a client's end of a connection."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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
        if parsed(hops[-1]) is None:
            break
        address = hops.pop()
    return address


def refused_origin(origin: str, host: str, allowed: Collection[str]) -> bool:
    """Return whether a foreign web page sends this: `origin` and `host` are the headers."""
    if not origin or ANY in allowed:
        return False
    place = origin.partition("://")[2].lower()
    name = name_of(place)
    same = place == host.lower()
    return not (name and (same or name in allowed or is_loopback(name)))


def _is_in(address: str, networks: Sequence[Network]) -> bool:
    found = parsed(address)
    return found is not None and any(found in network for network in networks)
