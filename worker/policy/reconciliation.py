"""Which row of Poe's points history is which of our requests. Pure.

Nothing in an answer names its row, so a row is known by its bot, its time and its token counts.
In turn, each kind of evidence pairs what the ones before have left:

    1. the tokens that Poe counts are those of the answer's usage;
    2. tokens are not known on one side, and the points are as settled;
    3. tokens are not known on one side;
    4. the request ended a while ago and nothing better came: tokens differ, or the request was held
       to have cost nothing, or it was called more than once and has a row of another call already.

Of each kind, rows whose time is that of the call come before those that a wrong clock explains. A
row that fits one request only, which fits no other row, is `matched`. Where several fit several, as
many as possible are paired, and these are `shared`: their sum is right whoever was which. Times are
in milliseconds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import Literal

import msgspec

from contract.ledger import Request
from worker.poe.points_history import Row

NEAR, TOLERANCE = 5_000, 60_000
"""By how much a row is outside of its call if all clocks are right, and if they are not."""

PATIENCE = 15 * 60_000
"""How long after its end a request waits for a row that fits well."""

ROW_LIFE = 2 * 3600_000
"""How long a row waits for its request to end: twice what an answer may take by default."""

REQUEST_LIFE = 24 * 3600_000
"""How long after its end a request waits for a row."""

Reason = Literal["matched", "shared", "unmatched", "missing"]


class Open(msgspec.Struct, frozen=True, array_like=True):
    """A request that may still get a row."""

    request: Request
    rows: int = 0
    """How many it has."""

    @property
    def ended(self) -> int:
        """When it ended."""
        return self.request.asked + self.request.duration

    @property
    def began(self) -> int:
        """When Poe can have been asked first."""
        # Only the last call's time is known.
        asked, sent = self.request.asked, self.request.sent
        return sent if sent and self.request.calls <= 1 else asked

    @property
    def is_awaited(self) -> bool:
        """Whether Poe should have a row for it: of what is free it may have none."""
        return self.rows == 0 and (self.request.settled > 0 or self.request.basis == "estimate")


class Found(msgspec.Struct, frozen=True):
    """Whose a row is; or, without a row, that Poe has none for a request."""

    row: Row | None
    request: Request | None
    """None: none of ours."""
    points: int
    """What it changes of what was settled."""
    reason: Reason


class Reconciled(msgspec.Struct, frozen=True):
    """What is known now."""

    found: tuple[Found, ...]
    opens: tuple[Open, ...]
    """The requests that may still get a row."""
    rows: tuple[Row, ...]
    """The rows whose requests may not have ended yet."""
    lost: int
    """Requests that are given up: they must have cost something, and Poe has no row for them."""


def reconcile(
    opens: Iterable[Open],
    rows: Iterable[Row],
    now: int,
    name: Callable[[str], str] = str.casefold,
    newest: int = 0,
) -> Reconciled:
    """Find out what rows are.

    `name` returns the same for all names of a bot. `newest` is the time of the newest row that Poe
    has ever shown: until one is newer than a request's end, its own may only be late.
    """
    round_ = _Round(opens, rows, name)
    for request_key, row_key in _TOKEN_KEYS:
        round_.pair(_is_counted, _has_tokens, request_key, row_key)
    for request_key, row_key in ((_settled, _points), (_nothing, _nothing)):
        round_.pair(_is_charged, lambda row: not _has_tokens(row), request_key, row_key)
        round_.pair(_is_uncounted, _has_tokens, request_key, row_key)
    round_.pair(lambda each: now - each.ended > PATIENCE, _any, _nothing, _nothing, certain=False)
    round_.pair_again(now)
    return round_.result(now, newest)


def wanted_since(opens: Iterable[Open], looked: int, now: int) -> int | None:
    """Return from when on the history is to be read now; None: nothing new is to be expected.

    After a look at `looked` that has not found a request's row, it is worth another one when twice
    as much time has passed since its end, and a last one before it is given up.
    """
    due = [each.began for each in opens if each.is_awaited and _due(each, looked) <= now]
    return min(due) - TOLERANCE if due else None


def next_look(opens: Iterable[Open], rows: Iterable[Row], looked: int) -> int | None:
    """Return when it is time to look again, even if nothing new happens; None: never."""
    awaited = [_due(each, looked) for each in opens if each.is_awaited]
    return min([*awaited, *(row.at + ROW_LIFE for row in rows)], default=None)


def _due(each: Open, looked: int) -> int:
    return each.ended + min(2 * max(looked - each.ended, 0), REQUEST_LIFE + 1)


class _Round:
    """The pairs so far, and what is left."""

    def __init__(
        self, opens: Iterable[Open], rows: Iterable[Row], name: Callable[[str], str]
    ) -> None:
        self._name = name
        self._opens = {each.request.job: each for each in opens}
        self._rows = {row.query: row for row in rows}
        self._found: list[Found] = []

    def pair(
        self,
        takes: Callable[[Open], bool],
        suits: Callable[[Row], bool],
        request_key: Callable[[Open], Hashable],
        row_key: Callable[[Row], Hashable],
        *,
        certain: bool = True,
    ) -> None:
        """Pair those that are taken, suit, have the same key and bot, and fit by their times."""
        waiting = [each for each in self._opens.values() if each.rows == 0 and takes(each)]
        groups = _grouped(
            (((self._name(each.request.bot), request_key(each)), each) for each in waiting),
            (
                ((self._name(row.bot), row_key(row)), row)
                for row in self._rows.values()
                if row.is_call and suits(row)
            ),
        )
        for opens, rows in groups:
            for each, row, alone in _paired(opens, rows):
                self._settle(each, row, "matched" if alone and certain else "shared")

    def pair_again(self, now: int) -> None:
        """Give those that were called more than once the rows of their other calls."""
        while True:
            before = len(self._found)
            several = [
                each
                for each in self._opens.values()
                if 0 < each.rows < each.request.calls and now - each.ended > PATIENCE
            ]
            groups = _grouped(
                ((self._name(each.request.bot), each) for each in several),
                ((self._name(row.bot), row) for row in self._rows.values() if row.is_call),
            )
            for opens, rows in groups:
                for each, row, _ in _paired(opens, rows):
                    self._settle(each, row, "shared")
            if len(self._found) == before:
                return

    def result(self, now: int, newest: int) -> Reconciled:
        """Return what was found, with what is given up."""
        for row in list(self._rows.values()):
            if not row.is_call or now - row.at > ROW_LIFE:
                self._found.append(Found(row, None, row.points, "unmatched"))
                del self._rows[row.query]
        lost = 0
        for each in list(self._opens.values()):
            if now - each.ended > REQUEST_LIFE:
                lost += not self._give_up(each, newest)
                del self._opens[each.request.job]
        return Reconciled(
            tuple(self._found), tuple(self._opens.values()), tuple(self._rows.values()), lost
        )

    def _give_up(self, each: Open, newest: int) -> bool:
        """Refund what Poe may have charged and has not. Returns False if there must be a row."""
        if each.is_awaited and each.request.basis == "estimate" and newest > each.ended:
            self._found.append(Found(None, each.request, -each.request.settled, "missing"))
            return True
        return not each.is_awaited

    def _settle(self, each: Open, row: Row, reason: Reason) -> None:
        request = each.request
        # What was settled is for all calls together: the first row replaces it, others add to it.
        points = row.points if each.rows else row.points - request.settled
        self._found.append(Found(row, request, points, reason))
        del self._rows[row.query]
        if each.rows + 1 < request.calls:
            self._opens[request.job] = msgspec.structs.replace(each, rows=each.rows + 1)
        else:
            del self._opens[request.job]


def _grouped(
    opens: Iterable[tuple[Hashable, Open]], rows: Iterable[tuple[Hashable, Row]]
) -> Iterator[tuple[list[Open], list[Row]]]:
    groups: defaultdict[Hashable, tuple[list[Open], list[Row]]] = defaultdict(lambda: ([], []))
    for key, each in opens:
        groups[key][0].append(each)
    for key, row in rows:
        groups[key][1].append(row)
    return (group for group in groups.values() if all(group))


def _paired(opens: Sequence[Open], rows: Sequence[Row]) -> Iterator[tuple[Open, Row, bool]]:
    """Pair those that fit by their times; say of each pair whether neither fits any other."""
    for within in (NEAR, TOLERANCE):
        pairs = list(_pairs(opens, rows, within))
        yield from pairs
        jobs, queries = {p[0].request.job for p in pairs}, {p[1].query for p in pairs}
        opens = [each for each in opens if each.request.job not in jobs]
        rows = [row for row in rows if row.query not in queries]


def _pairs(
    opens: Sequence[Open], rows: Sequence[Row], within: int
) -> Iterator[tuple[Open, Row, bool]]:
    """Make the most pairs that there can be of rows that are `within` so much of a call.

    Rows in the order of their times, each with the request that ended first of those that fit, do.
    """
    arriving = sorted(opens, key=lambda each: (-each.began, each.request.job))
    starts = sorted(each.began - within for each in opens)
    ends = sorted(each.ended + within for each in opens)
    ordered = sorted(rows, key=lambda row: (row.at, row.query))
    times = [row.at for row in ordered]
    fitting: list[tuple[int, str, Open]] = []
    for row in ordered:
        while arriving and arriving[-1].began - within <= row.at:
            each = arriving.pop()
            heappush(fitting, (each.ended + within, each.request.job, each))
        while fitting and fitting[0][0] < row.at:
            heappop(fitting)
        if fitting:
            latest, _, each = heappop(fitting)
            of_row = bisect_right(starts, row.at) - bisect_left(ends, row.at)
            of_request = bisect_right(times, latest) - bisect_left(times, each.began - within)
            yield each, row, of_row == of_request == 1


def _any(_: object) -> bool:
    return True


def _nothing(_: object) -> Hashable:
    return None


def _is_charged(each: Open) -> bool:
    return each.request.basis != "free"


def _is_counted(each: Open) -> bool:
    """Return whether the upstream has told how many tokens the call took."""
    request = each.request
    told = request.prompt_tokens > 0 or request.completion_tokens > 0
    # Those of several calls are told together.
    return told and request.calls <= 1 and request.basis in ("usage", "flat")


def _is_uncounted(each: Open) -> bool:
    return _is_charged(each) and not _is_counted(each)


def _has_tokens(row: Row) -> bool:
    return row.input is not None and row.output is not None


def _settled(each: Open) -> Hashable:
    return each.request.settled


def _points(row: Row) -> Hashable:
    return row.points


def _tokens(each: Open) -> Hashable:
    return each.request.prompt_tokens, each.request.completion_tokens


def _tokens_uncached(each: Open) -> Hashable:
    request = each.request
    return request.prompt_tokens - request.cached_tokens, request.completion_tokens


_TOKEN_KEYS: tuple[tuple[Callable[[Open], Hashable], Callable[[Row], Hashable]], ...] = (
    # Whether Input counts what a cache gave and took is not documented.
    (_tokens, lambda row: (row.input, row.output)),
    (_tokens, lambda row: ((row.input or 0) + row.written, row.output)),
    (_tokens, lambda row: ((row.input or 0) + row.read, row.output)),
    (_tokens, lambda row: ((row.input or 0) + row.written + row.read, row.output)),
    (_tokens_uncached, lambda row: (row.input, row.output)),
)
