"""A record of every call, from which tests learn whether limits were kept.

A call starts, in monotonic seconds, when the request's head arrives, before its body is read. It
ends just before its last event is written: a client that reads that event and then starts
another call is never counted as having two in flight.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from simulated_poe.accounts import Account, Excess, Holder, fingerprint
from simulated_poe.history import Row

Kind = Literal["bot", "chat", "messages", "responses"]
Outcome = Literal["running", "answered", "refused", "failed", "cut", "client_left", "stopped"]

_MOST_CALLS = 200_000
_MOST_BODIES = 50


@dataclass(eq=False, slots=True)
class Call:
    """One request for an answer.

    Outcomes: `refused`, Poe rejected the key or the body; `failed`, the bot failed; `cut`, Poe
    dropped the connection; `client_left`, the client did; `stopped`, the simulation ended.
    """

    number: int
    key: str = field(repr=False)
    kind: Kind
    bot: str
    started: float
    started_at: float
    account: str | None = None
    in_flight: int = 0
    """Calls of the account in flight when this one started."""
    conversation: str = ""
    outcome: Outcome = "running"
    status: int = 0
    ended: float | None = None
    characters: int = 0
    excesses: tuple[Excess, ...] = ()
    others: tuple[Call, ...] = field(default=(), repr=False)
    """The calls then in flight, if they were too many."""
    bill: Callable[[], Row] | None = field(default=None, repr=False)
    """Makes the row of its account's history when the call ends; None: it costs nothing."""

    def shown(self) -> dict[str, Any]:
        """Return the call for the JSON record, without its key."""
        hidden = ("key", "excesses", "others", "bill")
        shown = {name: getattr(self, name) for name in self.__slots__ if name not in hidden}
        return shown | {"key": fingerprint(self.key)}


@dataclass(frozen=True, slots=True)
class Violation:
    """A call that exceeded a limit of its account."""

    account: str
    call: int
    kind: Literal["rate", "cooldown", "concurrency"]
    detail: str


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload, or one that was refused."""

    key: str
    """The fingerprint of the key."""
    account: str
    form: Literal["file", "url"]
    name: str
    content_type: str
    size: int
    """Bytes of the file; 0 for a URL, which is not fetched."""
    status: int
    url: str
    """The URL of the uploaded file; empty if the upload was refused."""


class Record:
    """All calls, accounts and violations since the start, or since the last `clear`."""

    def __init__(self) -> None:
        self._number = 0
        self.clear()

    def __repr__(self) -> str:
        return f"Record({len(self.calls)} calls, {len(self.accounts)} accounts)"

    def clear(self) -> None:
        """Forget everything, including balances and the starts that limits count.

        Call numbers continue, since some calls may still be in flight.
        """
        self.calls: deque[Call] = deque(maxlen=_MOST_CALLS)
        self.accounts: dict[str, Account] = {}
        self.uploads: list[Upload] = []
        self.bodies: deque[dict[str, Any]] = deque(maxlen=_MOST_BODIES)
        """The most recent request bodies, without keys."""
        self.headers: deque[dict[str, str]] = deque(maxlen=_MOST_BODIES)
        """Those of the most recent requests to /v1/messages."""
        self._running: dict[str, dict[int, Call]] = {}
        self._suspects: list[tuple[Call, Excess, float, int]] = []
        self._asked: Counter[tuple[str, str]] = Counter()

    def open(self, key: str, kind: Kind, bot: str, now: float, wall: float) -> Call:
        """Record the arrival of a request."""
        self._number += 1
        call = Call(self._number, key, kind, bot, started=now, started_at=wall)
        self.calls.append(call)
        return call

    def account(self, holder: Holder) -> Account:
        """Return the account of a key, created with its initial balance if it is new."""
        if holder.account not in self.accounts:
            self.accounts[holder.account] = Account(holder.account, holder.points)
        return self.accounts[holder.account]

    def judge(self, call: Call, holder: Holder) -> tuple[Excess, ...]:
        """Record and return the limits of its account that a call exceeds."""
        account = self.account(holder)
        running = self._running.setdefault(account.name, {})
        call.account, call.in_flight = account.name, account.in_flight
        call.excesses = tuple(account.excesses(holder.limits, call.started))
        if any(excess.kind == "concurrency" for excess in call.excesses):
            call.others = tuple(running.values())
        for excess in call.excesses:
            limit = holder.limits.max_in_flight or 0
            self._suspects.append((call, excess, holder.limits.tolerance, limit))
        return call.excesses

    def start(self, call: Call, holder: Holder) -> None:
        """Count a call against its account's limits, until `end`."""
        account = self.account(holder)
        account.start(call.started)
        self._running[account.name][call.number] = call

    def end(self, call: Call, outcome: Outcome, now: float, status: int = 200) -> None:
        """Record how a call ended. Only the first ending counts."""
        if call.ended is not None:
            return
        call.outcome, call.ended, call.status = outcome, now, status
        if call.bill and (account := self.accounts.get(call.account or "")):
            account.charge(call.bill())
        running = self._running.get(call.account or "", {})
        if running.pop(call.number, None) is not None:
            self.accounts[call.account or ""].end()

    def times_asked(self, bot: str, conversation: str) -> int:
        """Count a request, and return how often the bot has received this conversation so far."""
        self._asked[bot, conversation] += 1
        return self._asked[bot, conversation]

    @property
    def violations(self) -> list[Violation]:
        """The calls that exceeded a limit.

        Two calls are not concurrent if the first ends within the tolerance after the second
        starts: the end of a connection may be noticed later than the start of another.
        """
        return [
            Violation(call.account or "", call.number, excess.kind, excess.detail)
            for call, excess, tolerance, limit in self._suspects
            if excess.kind != "concurrency"
            or sum(_under_way(other, call.started + tolerance) for other in call.others) >= limit
        ]

    def shown(self) -> dict[str, Any]:
        """Return the whole record, ready for JSON."""
        return {
            "accounts": {name: self._totals(account) for name, account in self.accounts.items()},
            "violations": [
                {"account": v.account, "call": v.call, "kind": v.kind, "detail": v.detail}
                for v in self.violations
            ],
            "calls": [call.shown() for call in self.calls],
            "uploads": [asdict(upload) for upload in self.uploads],
        }

    def _totals(self, account: Account) -> dict[str, Any]:
        own = [call for call in self.calls if call.account == account.name]
        return {
            "points": account.points,
            "spent": account.spent,
            "in_flight": account.in_flight,
            "most_in_flight": account.most_in_flight,
            "calls": len(own),
            "outcomes": Counter(call.outcome for call in own),
            "characters": sum(call.characters for call in own),
        }


def _under_way(call: Call, instant: float) -> bool:
    return call.ended is None or call.ended > instant
