"""How many bytes of unfinished bodies there may be: of one address, and of all. Pure.

A body is kept in memory until it is complete, and a client that sends one slowly keeps it there for
as long as a body may take.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.problems import too_many_uploads, uploads_full

BODIES_OF_ONE = 4
"""How many bodies of the largest size one address may have under way: so many bytes in all."""

BODIES_OF_ALL = 16
"""The same of all addresses together."""


class Upload:
    """One body under way."""

    def __init__(self, uploads: Uploads, address: str) -> None:
        self._uploads = uploads
        self._address = address
        self.size = 0

    def add(self, size: int) -> None:
        """Count `size` more bytes. Raises Problem where there is no room for them."""
        self._uploads.add(self._address, size)
        self.size += size

    def drop(self) -> None:
        """Stop counting its bytes: they have been thrown away."""
        self._uploads.remove(self._address, self.size)
        self.size = 0


class Uploads:
    """The bytes of all bodies under way."""

    def __init__(self, largest: int) -> None:
        """`largest` is how many bytes one body may have."""
        self._of_one = BODIES_OF_ONE * largest
        self._of_all = BODIES_OF_ALL * largest
        self._sizes: Counter[str] = Counter()
        self._total = 0

    def __repr__(self) -> str:
        return f"Uploads({self._total} bytes of {len(self._sizes)} addresses)"

    @property
    def total(self) -> int:
        """The bytes of all unfinished bodies."""
        return self._total

    @contextmanager
    def upload(self, address: str) -> Iterator[Upload]:
        """Inside the block a body arrives from `address`; after it, its bytes do not count."""
        upload = Upload(self, address)
        try:
            yield upload
        finally:
            upload.drop()

    def add(self, address: str, size: int) -> None:
        """Count `size` more bytes from this address. Raises Problem where they have no room."""
        if self._sizes[address] + size > self._of_one:
            raise too_many_uploads()
        if self._total + size > self._of_all:
            raise uploads_full()
        self._sizes[address] += size
        self._total += size

    def remove(self, address: str, size: int) -> None:
        """Stop counting `size` bytes from this address."""
        self._total -= size
        self._sizes[address] -= size
        if not self._sizes[address]:
            del self._sizes[address]
