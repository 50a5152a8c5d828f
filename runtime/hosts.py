"""Whether a request may have come by a name that was rebound. Pure.

A web page in somebody's browser may have its own name resolved to an address of this machine, or of
one that only the browser can reach (DNS rebinding), and then counts as of the same origin as what
is served there. The browser gives the name away in `Host`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection

ANY = "*"
"""Among the allowed hosts: all of them."""

_PORT = re.compile(r":\d*$")


def refused_host(host: str, allowed: Collection[str], *, exposed: bool) -> bool:
    """Return whether a request to this Host may be a rebound name.

    A server that is `exposed`, since the operator has set `host`, is also called by address, which
    nobody can rebind.
    """
    name = name_of(host)
    if ANY in allowed or name in allowed or is_loopback(name):
        return False
    return not (exposed and parsed(name) is not None)


def name_of(host: str) -> str:
    """Return a host without its port, in lower case; IPv6 without brackets."""
    return _PORT.sub("", host.rpartition("@")[2].lower()).strip("[]").rstrip(".")


def is_loopback(name: str) -> bool:
    """Return whether a host's name or address is always this machine's."""
    found = parsed(name)
    if found is None:
        return name == "localhost" or name.endswith(".localhost")
    return found.is_loopback


def parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address, of IPv4 if it is mapped; None for what is none."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
