"""The calls of a worker about Poe tokens: start a call within its limits, and tell how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import msgspec

from contract.budgets import AGAIN
from contract.calls.call import Call, Word, milliseconds
from contract.lifetimes import GRANT_LIFE


class Grant(msgspec.Struct, frozen=True):
    """The call may start."""

    at: float
    """When it was granted, by Redis's clock in milliseconds."""


class Refused(msgspec.Struct, frozen=True):
    """The call may not start before `wait` seconds have passed; None: until a call ends."""

    wait: float | None


class Parked(msgspec.Struct, frozen=True):
    """The token is set aside for `wait` seconds: another worker has learned why."""

    wait: float
    state: str


class Lost(msgspec.Struct, frozen=True):
    """The token is not this worker's any longer, or the job is not, or its client has left."""


class Short(msgspec.Struct, frozen=True):
    """The job has had a call that may have been paid for, and has no points for another.

    `why` is why it will have none; empty: it may have them once others have ended.
    """

    why: str = ""


class Acquire(Call[Grant | Refused | Parked | Lost | Short], frozen=True, kw_only=True):
    """Ask to start one call with a token. Its grant must be used within `guard` seconds."""

    script: ClassVar[str] = "acquire"

    worker: str
    batch: str
    """The batch of tokens that this one belongs to, which the worker holds."""
    fence: int
    """The fence under which it holds the batch."""
    token: str
    account: str
    grant: str
    """An id of the grant's own, the same when the call is repeated after a lost reply."""
    rate_limit: int
    """The most starts of the account in `window` seconds."""
    window: float
    cool_down: float
    """Seconds from one start to the next."""
    max_in_flight: int
    guard: float
    job: str
    epoch: int
    """The epoch in which the job is the worker's."""
    label: str = ""
    """The token's name for people."""
    others: Iterable[str] = ()
    """The account's other tokens."""
    life: float = GRANT_LIFE

    def arguments(self) -> list[Word]:
        return [
            self.worker,
            self.batch,
            self.fence,
            self.token,
            self.account,
            self.grant,
            self.rate_limit,
            milliseconds(self.window),
            milliseconds(self.cool_down),
            self.max_in_flight,
            milliseconds(self.guard),
            milliseconds(self.life),
            self.job,
            self.epoch,
            self.label,
            *self.others,
        ]

    def read(self, reply: Any) -> Grant | Refused | Parked | Lost | Short:
        verdict, *details = reply
        match verdict:
            case b"granted":
                return Grant(float(details[0]))
            case b"lost" | b"gone":
                return Lost()
            case b"full":
                return Refused(None)
            case b"short":
                return Short(_why_short(*details) if details else "")
            case b"parked":
                return Parked(float(details[0]) / 1000, details[1].decode())
            case _:
                return Refused(float(details[0]) / 1000)


def _why_short(points: int, left: int, budget: bytes) -> str:
    return AGAIN.format(estimate=points, left=left, budget=budget.decode())


class Extend(Call[None], frozen=True):
    """Keep calls in flight counted for `life` seconds more."""

    script: ClassVar[str] = "extend"

    grants: Iterable[tuple[str, str, str]]
    """Token, account and grant of each call."""
    life: float = GRANT_LIFE

    def arguments(self) -> list[Word]:
        return [milliseconds(self.life), *(word for grant in self.grants for word in grant)]

    def read(self, reply: Any) -> None:
        """There is nothing to read."""


class TokenUpdate(msgspec.Struct, frozen=True):
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


NOTHING_NEW = TokenUpdate()


class Release(Call[None], frozen=True, kw_only=True):
    """A call has ended, or was never made."""

    script: ClassVar[str] = "release"

    token: str
    account: str
    grant: str
    used: bool
    """Whether the call was made."""
    update: TokenUpdate = NOTHING_NEW

    def arguments(self) -> list[Word]:
        update = self.update
        return [
            self.token,
            self.account,
            self.grant,
            int(not self.used),
            milliseconds(update.rest),
            milliseconds(update.park),
            update.state,
            update.reason,
            update.strikes,
            update.unfit_model,
            milliseconds(update.unfit),
        ]

    def read(self, reply: Any) -> None:
        """There is nothing to read."""


class TokenState(msgspec.Struct, frozen=True):
    """What all workers have learned of a token."""

    parked: float = 0.0
    """Seconds for which it is still set aside."""
    state: str = ""
    strikes: int = 0
    unfit: dict[str, float] = {}
    """The models that it cannot have, with the seconds for which that is remembered."""


class TokenStates(Call[dict[str, TokenState]], frozen=True):
    """Ask what is known of tokens. Returns those of which something is."""

    script: ClassVar[str] = "token_states"

    tokens: Sequence[str]

    def arguments(self) -> list[Word]:
        return list(self.tokens)

    def read(self, reply: Any) -> dict[str, TokenState]:
        return {self.tokens[place - 1]: _token_state(*known) for place, *known in reply}


def _token_state(parked: int, state: bytes, strikes: int, unfit: Sequence[Any]) -> TokenState:
    models = zip(unfit[::2], unfit[1::2], strict=True)
    return TokenState(
        parked / 1000, state.decode(), strikes, {model.decode(): ms / 1000 for model, ms in models}
    )
