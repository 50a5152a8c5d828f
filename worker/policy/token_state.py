"""What workers tell each other of a token, through Redis."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TokenUpdate:
    """What the end of a call says of its token, for all workers to know."""

    rest: float = 0.0
    """Seconds for which the account starts nothing."""
    park: float = 0.0
    """Seconds for which the token is set aside; negative: it is well again."""
    state: str = ""
    reason: str = ""
    strikes: int = 0
    """Failures of the token in its own right, in a row."""
    unfit_model: str = ""
    unfit: float = 0.0
    """Seconds for which the token cannot have `unfit_model`."""


@dataclass(frozen=True)
class TokenState:
    """What Redis knows of a token."""

    parked: float
    """Seconds for which it is still set aside."""
    state: str
    strikes: int
    unfit: dict[str, float]
    """The models that it cannot have, with the seconds for which that is remembered."""
