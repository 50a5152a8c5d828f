"""How much of what was sent to a client waits in the kernel, because the client does not read.

RSGI takes whatever it is given and reports no backlog, so the whole answer for a client that stops
reading would be kept here. Linux reports the backlog over its sock_diag netlink socket
(sock_diag(7)), at about a third of a millisecond for all connections of a port together. Where
there is no such socket, no client counts as slow.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from gateway.doors import Peer, plain

_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_REQUEST_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_ESTABLISHED = (1 << 1) | (1 << 8)  # and CLOSE_WAIT: it may still read
_HEADER = struct.Struct("=IHHII")
_QUERY = struct.Struct("=BBBBI")
_PORTS = struct.Struct("!HH")
_TIMEOUT = 1.0
_MOST = 64 * 1024


def unread(port: int, peer_port: int = 0) -> dict[Peer, int]:
    """Return the unacknowledged bytes of the connections of this local port.

    With `peer_port`, only of connections to that port. Empty where the system does not say.
    """
    found: dict[Peer, int] = {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as netlink:
            netlink.settimeout(_TIMEOUT)
            for family in (socket.AF_INET, socket.AF_INET6):
                netlink.send(_query(family, port, peer_port))
                found.update(_answers(netlink, family))
    except (AttributeError, OSError):
        return {}
    return found


def _query(family: int, port: int, peer_port: int) -> bytes:
    # inet_diag_req_v2: family, protocol, extensions, padding, states, then the socket's id, of
    # which a dump heeds the ports only.
    body = _QUERY.pack(family, socket.IPPROTO_TCP, 0, 0, _ESTABLISHED)
    body += _PORTS.pack(port, peer_port) + bytes(44)
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST_DUMP, 1, 0) + body


def _answers(netlink: socket.socket, family: int) -> Iterator[tuple[Peer, int]]:
    while True:
        data = netlink.recv(_MOST)
        while len(data) >= _HEADER.size:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind != _BY_FAMILY:
                return
            # inet_diag_msg: 4 bytes, the ports, both addresses, 12 bytes, expiry, unread, unsent.
            peer_port = struct.unpack_from("!H", data, 22)[0]
            address = data[40 : 44 if family == socket.AF_INET else 56]
            unsent = struct.unpack_from("=I", data, 76)[0]
            yield (plain(socket.inet_ntop(family, address)), peer_port), unsent
            data = data[(length + 3) & ~3 :]
