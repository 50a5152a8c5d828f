"""Poe tokens that are added at run time, as Redis holds them: encrypted.

The key is the workers' (`tokenKey`), so a gateway could read the record and not the secret.
"""

from __future__ import annotations

import datetime

import msgspec

HELD = "held"
"""The state of a token that is set aside by hand."""


class StoredToken(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """One token, by its id in Redis. A limit that is None is that of the workers' configuration."""

    label: str
    """Its name for people."""
    sealed: bytes
    """The secret, encrypted."""
    created: datetime.datetime
    account: str | None = None
    """The name of its account: all tokens of one account share its limits."""
    rate_limit: int | None = None
    cool_down: float | None = None
    max_in_flight: int | None = None
