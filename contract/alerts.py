"""Alerts: so much of a budget is spent. Scripts leave them in Redis, and workers deliver them."""

from __future__ import annotations

import msgspec


class Alert(msgspec.Struct, frozen=True, array_like=True):
    """So much of a budget is spent. Written by `tell_budget` in lib.lua."""

    budget: str
    """The name of its counter, which tells one period from another."""
    kind: str
    """`key` or `group`."""
    name: str
    """The name of the key or the group."""
    period: str
    """`day`, `week`, `month` or `total`."""
    percent: int
    """Which mark has been passed: 80 or 100."""
    spent: int
    """Points, when it was passed."""
    limit: int
    renews: int = 0
    """Unix time in milliseconds at which the next period begins. 0: there is none."""
    at: int = 0
    """Unix time in milliseconds at which the mark was passed."""


decode_alert = msgspec.msgpack.Decoder(Alert).decode
