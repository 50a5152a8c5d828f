"""Which Poe token may start the next call.

The pool never sleeps and never reads a clock. Callers pass `now`, in seconds of one monotonic
clock, and do the waiting. What it knows of an account's limits is a prediction, made from
the calls of this worker alone; `acquire.lua` decides, and `refuse` tells the pool of its refusals.

Limits belong to accounts: two tokens of one account share them. Health belongs to tokens.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from contract.calls.tokens import TokenState
from contract.messages import TokenCounts
from worker.config import PoeToken
from worker.policy.readiness import NEVER, Readiness

WINDOW = 60.0
"""Seconds over which Poe counts the rate limit (dossier: requests per minute)."""

MAX_UNFIT = 100
"""Unfit models remembered of one token; more would only be invented names."""


@dataclass(frozen=True)
class Wait:
    """No token can start a call before `until`; NEVER: only a release or a claim will help."""

    until: float


def margin(period: float) -> float:
    """Seconds added to a cooldown or window, since the network may bring two calls closer.

    Two per cent, at most 50 ms: so the margin never costs more than 2 % of the starts.
    """
    return min(0.05, 0.02 * period)


@dataclass
class _Account:
    """The limits of one account, as far as this worker has used them."""

    rate_limit: int
    cool_down: float
    max_in_flight: int
    rests_until: float = 0.0
    in_flight: int = 0
    claims: int = 0
    """Calls that have reserved the next starts."""
    starts: deque[float] = field(default_factory=deque)
    unsent: list[float] = field(default_factory=list)
    """Those of the starts whose calls have not left yet."""

    def start(self, now: float) -> None:
        self.starts.append(now)
        self.unsent.append(now)
        if len(self.starts) > self.rate_limit:
            self.starts.popleft()

    def take_back(self) -> None:
        """Undo the last start whose call has not left: calls that come later may have."""
        at = self.unsent.pop()
        for index in range(len(self.starts) - 1, -1, -1):
            if self.starts[index] == at:
                del self.starts[index]
                return

    def ready_at(self, *, claimed: bool = False) -> float:
        if (self.claims and not claimed) or self.in_flight >= self.max_in_flight:
            return NEVER
        ready = self.rests_until
        if self.starts:
            ready = max(ready, self.starts[-1] + self.cool_down + margin(self.cool_down))
        if len(self.starts) >= self.rate_limit:
            ready = max(ready, self.starts[-self.rate_limit] + WINDOW + margin(WINDOW))
        return ready


@dataclass
class _Health:
    """What is known of one token."""

    state: str = "ok"
    until: float = 0.0
    strikes: int = 0
    struck: float = -NEVER
    last_used: float = -NEVER
    unfit: dict[str, float] = field(default_factory=dict)


class TokenPool:
    """The tokens of one worker: those it owns, what they did, and what they can do next."""

    def __init__(self, tokens: Iterable[PoeToken]) -> None:
        self._tokens: dict[str, PoeToken] = {}
        self._health: dict[str, _Health] = {}
        """Of these tokens, and of those that were taken away: calls may still run with them."""
        self._accounts: dict[str, _Account] = {}
        self._ids: dict[str, list[str]] = {}
        """The ids of the tokens of each account."""
        self._owned: dict[str, PoeToken] = {}
        self._owned_accounts: Collection[str] | None = ()
        self._states: dict[str, str] = {}
        """What each owned token could do when it was last counted."""
        self._counts: Counter[str] = Counter()
        self._uncounted: set[str] = set()
        """The tokens that have changed since, or that change as time passes."""
        self._capacity: tuple[float, float] | None = None
        """Its value, and until when it holds; None: it has to be computed again."""
        self.configure(tokens)

    def configure(self, tokens: Iterable[PoeToken]) -> None:
        """Have these tokens and no others, with these limits. Calls under way go on.

        Of the accounts that are owned, those tokens can be used at once that were here before; the
        next `own` finds the others.
        """
        self._tokens = {token.id: token for token in tokens}
        self._ids = {}
        for key, token in self._tokens.items():
            self._health.setdefault(key, _Health())
            account = self._accounts.setdefault(token.account, _Account(0, 0.0, 0))
            account.rate_limit, account.cool_down = token.rate_limit, token.cool_down
            account.max_in_flight = token.max_in_flight
            self._ids.setdefault(token.account, []).append(key)
        self._uncounted.update(self._owned)
        self._owned = {
            key: self._tokens[key]
            for key, before in self._owned.items()
            if key in self._tokens and self._tokens[key].account == before.account
        }
        self._owned_accounts, self._capacity = None, None
        self._readiness = Readiness(self._tokens, self._rank)
        for key in self._owned:
            self._sort_in(key)

    def __repr__(self) -> str:
        in_flight = sum(account.in_flight for account in self._accounts.values())
        return f"<TokenPool {len(self._owned)} of {len(self._tokens)} owned, {in_flight} in flight>"

    def others(self, token: PoeToken) -> list[str]:
        """Return the ids of the other tokens of this token's account."""
        return [each for each in self._ids.get(token.account, ()) if each != token.id]

    def own(self, accounts: Collection[str]) -> list[PoeToken]:
        """Use the tokens of these accounts and no others; return those that are new to us."""
        if accounts == self._owned_accounts:
            return []
        self._capacity = None
        before = self._owned
        self._owned_accounts = frozenset(accounts)
        self._owned = {
            key: token for key, token in self._tokens.items() if token.account in accounts
        }
        for key in before.keys() - self._owned.keys():
            self._readiness.remove(key)
            self._uncounted.add(key)
        new = [token for key, token in self._owned.items() if key not in before]
        for token in new:
            self._sort_in(token.id)
        return new

    def acquire(
        self, now: float, *, model: str = "", tried: Collection[str] = ()
    ) -> PoeToken | Wait:
        """Take the least busy token that can start a call for `model`, or say how long to wait.

        Ties go to the token that has rested longest. Tokens in `tried` are left out. `now` must
        never go back.
        """

        def not_before(key: str) -> float:
            if key in tried:
                return NEVER
            return self._health[key].unfit.get(model, 0.0) if model else 0.0

        key, at = self._readiness.best(now, not_before)
        if key is None:
            return Wait(at)
        self._start(self._tokens[key], now)
        return self._tokens[key]

    def claim(self, token: PoeToken) -> None:
        """Reserve this account's next start for `redeem`."""
        self._accounts[token.account].claims += 1
        self._sort_in_all(token)

    def redeem(self, token: PoeToken, now: float) -> float | None:
        """Take the token for a call that has a claim, or return from when on to ask again."""
        ready = max(
            self._health[token.id].until, self._accounts[token.account].ready_at(claimed=True)
        )
        if token.id not in self._owned:
            return NEVER
        if ready > now:
            return ready
        self._start(token, now)
        return None

    def drop_claim(self, token: PoeToken) -> None:
        """Drop a claim that was redeemed or given up."""
        self._accounts[token.account].claims -= 1
        self._sort_in_all(token)

    def _start(self, token: PoeToken, now: float) -> None:
        account = self._accounts[token.account]
        account.in_flight += 1
        account.start(now)
        self._sort_in_all(token)

    def sent(self, token: PoeToken, now: float) -> None:
        """Note that the call left only now: its cooldown begins here."""
        self._health[token.id].last_used = now
        account = self._accounts[token.account]
        account.take_back()
        account.start(now)
        account.unsent.pop()
        self._sort_in_all(token)

    def cancel(self, token: PoeToken) -> None:
        """Give back a token whose call was never made."""
        account = self._accounts[token.account]
        account.in_flight -= 1
        account.take_back()
        self._sort_in_all(token)

    def refuse(self, token: PoeToken, until: float) -> None:
        """Note that Redis allows this token's account no call before `until`."""
        self.cancel(token)
        self.rest(token, until)

    def release(self, token: PoeToken) -> None:
        """Note that the call has ended."""
        self._accounts[token.account].in_flight -= 1
        self._sort_in_all(token)

    def rest(self, token: PoeToken, until: float) -> None:
        """Start nothing with this token's account before `until`: Poe said so."""
        account = self._accounts[token.account]
        account.rests_until = max(account.rests_until, until)
        self._sort_in_all(token)

    def park(self, token_id: str, until: float, state: str) -> None:
        """Set a token aside until `until`; `state` says why ("no points", "bad key")."""
        health = self._health[token_id]
        health.state, health.until = state, until
        self._capacity = None
        self._sort_in(token_id)

    def unpark(self, token_id: str) -> None:
        """Hold nothing against the token any longer."""
        self.park(token_id, 0.0, "ok")
        self._health[token_id].strikes = 0

    def strike(self, token_id: str, began: float, now: float) -> int:
        """Count a failure of the token in its own right; return how many there are in a row.

        A call that `began` before the last one was counted is part of the same trouble.
        """
        health = self._health[token_id]
        if began >= health.struck:
            health.strikes += 1
            health.struck = now
        return health.strikes

    def is_well(self, token_id: str) -> bool:
        """Return whether nothing is held against the token."""
        health = self._health[token_id]
        return health.state == "ok" and not health.strikes

    def mark_unfit(self, token_id: str, model: str, until: float) -> None:
        """Note that this token may not use this model before `until`."""
        unfit = self._health[token_id].unfit
        # The latest last, so that what must go to make room is the oldest.
        unfit.pop(model, None)
        unfit[model] = until
        if len(unfit) > MAX_UNFIT:
            del unfit[next(iter(unfit))]

    def remember_strikes(self, token_id: str, strikes: int) -> None:
        """Adopt what another worker has counted."""
        self._health[token_id].strikes = max(strikes, self._health[token_id].strikes)

    def suits(self, token: PoeToken, model: str, now: float) -> bool:
        """Return whether the token may use this model, as far as is known."""
        return self._health[token.id].unfit.get(model, 0.0) <= now

    def untried(
        self, now: float, *, model: str, tried: Collection[str], owned_only: bool = False
    ) -> bool:
        """Return whether a healthy token is left for a job; without `owned_only`, anywhere."""
        return any(
            key not in tried
            and self._health[key].until <= now
            and self._health[key].unfit.get(model, 0.0) <= now
            for key in (self._owned if owned_only else self._tokens)
        )

    def learn(self, token_id: str, state: TokenState, now: float) -> None:
        """Adopt what Redis knows of a token of which we know nothing newer."""
        health = self._health[token_id]
        health.until = now + state.parked if state.parked else 0.0
        health.state = state.state if state.parked else "ok"
        health.strikes = max(state.strikes, health.strikes)
        health.unfit = {model: now + seconds for model, seconds in state.unfit.items()}
        self._capacity = None
        self._sort_in(token_id)

    def fit_counts(self, tokens: Collection[PoeToken], now: float) -> dict[str, int]:
        """Return how many of these tokens are fit for a model, where that is not all of them.

        A model that no token of any worker is fit for is left out: Poe says best why.
        """
        unfit = [self._health[token.id].unfit for token in tokens]
        models = {model for each in unfit for model, until in each.items() if until > now}
        return {
            model: sum(self.suits(token, model, now) for token in tokens)
            for model in models
            if self.untried(now, model=model, tried=())
        }

    def all(self) -> list[PoeToken]:
        """Return all tokens, whoever owns them."""
        return list(self._tokens.values())

    def owned(self) -> list[PoeToken]:
        """Return the tokens that this worker owns."""
        return list(self._owned.values())

    def foreign(self) -> list[PoeToken]:
        """Return the tokens that this worker does not own."""
        return [token for key, token in self._tokens.items() if key not in self._owned]

    def well_others(self, now: float) -> int:
        """Return how many of those are not known to be set aside."""
        return sum(self._health[token.id].until <= now for token in self.foreign())

    def asks_after_others(self, now: float) -> bool:
        """Return whether we must know what the tokens of other workers can do.

        We must if ours can do nothing, or may not use some model.
        """
        owned = [self._health[key] for key in self._owned]
        return all(health.until > now for health in owned) or any(
            until > now for health in owned for until in health.unfit.values()
        )

    def parked(self, now: float) -> list[PoeToken]:
        """Return the owned tokens that are set aside."""
        return [t for t in self._owned.values() if self._health[t.id].until > now]

    def state(self, token_id: str) -> str:
        """Return why a token is set aside, or "ok"."""
        return self._health[token_id].state

    def counts(self, now: float) -> TokenCounts:
        """Count the owned tokens by what they can do now."""
        for key in tuple(self._uncounted):
            if (before := self._states.pop(key, None)) is not None:
                self._counts[before] -= 1
            if key in self._owned:
                state = self._states[key] = self._state_at(key, now)
                self._counts[state] += 1
            if self._states.get(key) in (None, "free", "busy"):
                self._uncounted.remove(key)
        return TokenCounts(**self._counts)

    def _state_at(self, key: str, now: float) -> str:
        health = self._health[key]
        if health.until > now:
            return "disabled" if health.state == "bad key" else "parked"
        ready = self._accounts[self._tokens[key].account].ready_at()
        if ready <= now:
            return "free"
        return "busy" if ready == NEVER else "cooling"

    def capacity(self, now: float) -> float:
        """Return the starts per second that the limits of the owned, healthy accounts allow."""
        if self._capacity is None or self._capacity[1] <= now:
            until = [self._health[key].until for key in self._owned]
            healthy = {t.account for t in self._owned.values() if self._health[t.id].until <= now}
            paces = (_starts_per_second(self._accounts[account]) for account in healthy)
            self._capacity = sum(paces), min((at for at in until if at > now), default=NEVER)
        return self._capacity[0]

    def is_any_free(self, now: float) -> bool:
        """Return whether any owned token could start a call for some model."""
        return self._readiness.best(now, lambda _: 0.0)[0] is not None

    def _rank(self, key: str) -> tuple[int, float]:
        return self._accounts[self._tokens[key].account].in_flight, self._health[key].last_used

    def _sort_in(self, key: str) -> None:
        """The token or its account has changed."""
        if key in self._owned:
            self._uncounted.add(key)
            ready_at = self._accounts[self._tokens[key].account].ready_at()
            self._readiness.put(key, max(self._health[key].until, ready_at))

    def _sort_in_all(self, token: PoeToken) -> None:
        """The account of this token has changed."""
        for key in self._ids.get(token.account, ()):
            self._sort_in(key)


def _starts_per_second(account: _Account) -> float:
    by_rate = account.rate_limit / WINDOW
    return min(by_rate, 1 / account.cool_down) if account.cool_down else by_rate
