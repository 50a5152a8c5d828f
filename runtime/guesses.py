"""How often each address may present wrong keys. Pure.

A key may be short enough to be guessed. So every address has a bucket that a wrong key
takes from and time refills. While it is empty no key from that address is checked, not even a right
one: otherwise a guesser would go on, and recognize the right key by its answer. A key that was
accepted from an address before is accepted all the same, so whoever shares an address with a
guesser goes on working.
"""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from functools import lru_cache
from typing import TypeVar

import msgspec

BURST = 20
"""Wrong keys that an address may present at once."""

REFILL = 3.0
"""Seconds after which it may present one more."""

REMEMBERED = 10_000
"""Addresses that are remembered, and accepted keys; the least recently seen is forgotten first."""

LOG_EVERY = 60.0
"""Seconds between two lines in the log about one address."""


_K = TypeVar("_K")
_V = TypeVar("_V")


class _Bucket(msgspec.Struct):
    wrong: float
    """Wrong keys that time has not forgiven yet."""
    at: float
    logged: float = -math.inf
    unlogged: int = 0


class Guesses:
    """The wrong keys of all addresses. `now` is in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._accepted: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def __repr__(self) -> str:
        return f"Guesses({len(self._buckets)} addresses, {len(self._accepted)} accepted keys)"

    def wait(self, address: str, digest: bytes, now: float) -> float:
        """Return the seconds until a key from this address is checked: 0 means now."""
        network = _network(address)
        if (network, digest) in self._accepted:
            return 0.0
        bucket = self._buckets.get(network)
        if bucket is None:
            return 0.0
        return max(0.0, (_left(bucket, now) - (BURST - 1)) * REFILL)

    def accepted(self, address: str, digest: bytes) -> None:
        """Remember that the key works from this address."""
        _keep(self._accepted, (_network(address), digest), None)

    def wrong(self, address: str, now: float, digest: bytes = b"") -> int:
        """Count a wrong key, and forget that it ever worked from there.

        Returns how many to log, 0 where a line was written just now.
        """
        network = _network(address)
        self._accepted.pop((network, digest), None)
        bucket = self._buckets.get(network) or _Bucket(0.0, now)
        bucket.wrong, bucket.at = _left(bucket, now) + 1, now
        _keep(self._buckets, network, bucket)
        return _to_log(bucket, now)

    def throttled(self, address: str, now: float) -> int:
        """Count a key that was not checked. Returns the same as `wrong`."""
        bucket = self._buckets.get(_network(address))
        return _to_log(bucket, now) if bucket else 0


def _to_log(bucket: _Bucket, now: float) -> int:
    bucket.unlogged += 1
    if now - bucket.logged < LOG_EVERY:
        return 0
    count, bucket.unlogged, bucket.logged = bucket.unlogged, 0, now
    return count


def _left(bucket: _Bucket, now: float) -> float:
    return max(0.0, bucket.wrong - (now - bucket.at) / REFILL)


def _keep(kept: OrderedDict[_K, _V], key: _K, value: _V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)


@lru_cache(REMEMBERED)
def _network(address: str) -> str:
    """Return what one party controls: an address of IPv4, but a whole /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
