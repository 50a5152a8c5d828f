"""What is shown of the queue: each client's place, and how long it will wait. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from contract.calls.overview import Answer, Overview, Waiting
from contract.position import QueuedClient, eta, position


class ClientRow(msgspec.Struct, frozen=True):
    """A client with work in the queue or at workers."""

    client: str
    name: str
    """As it is called, or else its id."""
    group: str
    waiting: int
    """All its jobs that wait."""
    running: int
    place: int | None
    """That of its next job, from 1. None: it waits for a token that can serve it, or has none."""
    eta: float | None
    """Seconds until its next job starts. None: unknown."""
    last_eta: float | None
    """Seconds until its last job starts, if it has several."""
    waited: float | None
    """Seconds for which its oldest job has waited."""


def client_rows(overview: Overview, rate: float) -> list[ClientRow]:
    """Return a row for each client. `rate` is how many jobs start in a second."""
    queue = {
        each.client: QueuedClient(each.turn, each.weight, each.waiting, each.gone)
        for each in overview.clients
        if each.turn is not None and each.waiting
    }
    named = {each.client: each for each in overview.answers if each.name}
    return [_row(each, queue, named.get(each.client), overview, rate) for each in overview.clients]


def _row(
    client: Waiting,
    queue: Mapping[str, QueuedClient],
    answer: Answer | None,
    overview: Overview,
    rate: float,
) -> ClientRow:
    place = last = None
    if client.client in queue:
        place = position(client.client, client.gone + 1, queue)
        last = position(client.client, client.gone + client.waiting, queue)
    has_name = client.name or answer is None
    return ClientRow(
        client.client,
        (client.name if has_name else answer.name if answer else "") or client.client,
        client.group if has_name else answer.group if answer else "",
        client.waiting + client.aside,
        client.running,
        place,
        None if place is None else eta(place, rate, overview.tokens.free),
        None if last is None or last == place else eta(last, rate, overview.tokens.free),
        None if client.since is None else max(0.0, overview.at - client.since),
    )


def oldest_first(answers: tuple[Answer, ...]) -> list[Answer]:
    """Return answers in the order in which they began."""
    return sorted(answers, key=lambda each: (each.dispatched or each.asked, each.job))
