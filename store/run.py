"""What administers a deployment needs of Redis: something that runs calls."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from contract.calls.call import Call

R = TypeVar("R")


class Run(Protocol):
    """Runs a call of the contract. Raises RedisFault."""

    def __call__(self, call: Call[R]) -> Awaitable[R]: ...
