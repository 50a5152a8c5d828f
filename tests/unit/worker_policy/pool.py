"""Tokens and jobs for tests of the worker's core."""

from __future__ import annotations

from worker.config import PoeToken


def token(
    name: str,
    account: str = "",
    *,
    rate_limit: int = 1000,
    cool_down: float = 0.0,
    max_in_flight: int = 1000,
) -> PoeToken:
    """A token, with an account of its own unless one is named, and limits that limit nothing."""
    return PoeToken(
        id=name,
        label=name,
        account=account or f"account of {name}",
        secret=f"sim-{name}",
        rate_limit=rate_limit,
        cool_down=cool_down,
        max_in_flight=max_in_flight,
    )
