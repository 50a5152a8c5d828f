"""What a client is told of its points: headers of an answer, and why a request is refused. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from contract.budgets import SHORT, Budget, renewal
from contract.calls.gateway import Rejection, Ticket
from gateway.dialect import Headers
from gateway.problems import Kind, Problem

EXPOSED = ("x-points-estimate", "x-points-limit", "x-points-remaining", "x-points-renews")
"""The headers that a web page may read."""


def headers_of(estimate: int, budget: Budget | None = None, left: int = 0) -> Headers:
    """Return what an answer says: its estimate, and the budget of which the least is left.

    `estimate` is of all its choices. `left` is what was left of that budget when it was asked for.
    """
    found = [("x-points-estimate", str(estimate))]
    if budget is not None:
        found += [("x-points-limit", str(budget.limit)), ("x-points-remaining", str(left))]
        if budget.renews:
            found.append(("x-points-renews", renewal(budget)))
    return found


def of_ticket(ticket: Ticket, estimate: int, budgets: Sequence[Budget]) -> Headers:
    """Return the headers of an answer that was accepted."""
    tightest = None if ticket.tightest is None else budgets[ticket.tightest]
    return headers_of(estimate, tightest, ticket.points_left)


def of_refusal(refusal: Rejection, estimate: int, budgets: Sequence[Budget]) -> Headers:
    """Return the headers of a request that was refused because of a budget."""
    return headers_of(estimate, budgets[refusal.number], refusal.points_left)


def short_of_points(refusal: Rejection, estimate: int, budgets: Sequence[Budget]) -> Problem:
    """Say which budget does not suffice, and when it renews.

    It has no Retry-After: a budget renews in hours or days, and who came back after a bounded wait
    would only be refused again.
    """
    title = budgets[refusal.number].title
    message = SHORT.format(estimate=estimate, left=refusal.points_left, budget=title)
    return Problem(Kind.NO_POINTS, message)
