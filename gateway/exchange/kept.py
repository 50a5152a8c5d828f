"""Answers that are kept: shown, listed, cancelled and deleted by their ids."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from contract.messages import Event, Failed, FailureKind, is_terminal
from gateway.config import AccessToken
from gateway.dialect import Archive, Endpoint, Head, Standing, Wanted
from gateway.exchange import heads
from gateway.exchange.services import Services
from gateway.problems import (
    Problem,
    answer_not_found,
    internal_error,
    not_in_background,
    problem_of,
)
from gateway.queue.kept import Absent, Found

_log = logging.getLogger("gateway.exchange")

STOPPED_WITHIN = 2.0
"""Seconds for which a client that cancels waits for the end of the answer."""
LOOK_EVERY = 0.02
"""Seconds between two looks at whether it has ended."""

_LOST = Failed(
    FailureKind.INTERRUPTED, "A part of the answer was lost in the gateway's storage.", charged=True
)


@dataclass(frozen=True)
class KeptAnswer:
    """An answer that is kept, and how it is rendered."""

    found: Found
    head: Head
    ask: Any
    bot: str
    """What the upstream calls the model."""


class KeptAnswers:
    """The kept answers of one gateway's clients. All of it raises Problem or RedisFault."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept = services.hub.kept

    async def find(
        self, endpoint: Endpoint[Any], wanted: Wanted, client: AccessToken
    ) -> KeptAnswer:
        """Return a client's answer."""
        found = await self._kept.find(wanted.job, client.client)
        if isinstance(found, Found) and not (found.has_begun or found.has_ended):
            await self._kept.end_if_overdue(wanted.job, client.client)
            found = await self._kept.find(wanted.job, client.client)
        if isinstance(found, Absent):
            raise answer_not_found(wanted.id, found.why)
        return readable(found, wanted.job, endpoint)

    async def show(self, archive: Archive[Any], kept: KeptAnswer) -> bytes:
        """Return the answer as it is now."""
        events = await self._kept.events(kept.head.job)
        standing = standing_of(kept.found, events)
        problem = self.problem(kept, events) if standing == "ended" else None
        return archive.show(kept.head, kept.ask, events, standing, problem)

    def problem(self, kept: KeptAnswer, events: Sequence[Event]) -> Problem | None:
        """Return why an answer that has ended with these events has failed, if it has."""
        end, models = events[-1] if events else _LOST, self._services.models
        if not is_terminal(end):
            end = _LOST
        if not isinstance(end, Failed):
            return None
        return problem_of(
            end,
            unknown_model=partial(models.unknown, kept.ask.model),
            context_length=models.context_length(kept.bot),
        )

    async def stop(self, wanted: Wanted, client: AccessToken) -> None:
        """Cancel an answer that goes on without its client, and wait until it has ended."""
        match await self._kept.stop(wanted.job, client.client):
            case "attended":
                raise not_in_background(wanted.id)
            case "told":
                await self._end(wanted, client)

    async def delete(self, archive: Archive[Any], wanted: Wanted, client: AccessToken) -> bytes:
        """Delete an answer; one that goes on without its client is cancelled first."""
        if not await self._kept.discard(wanted.job, client.client):
            found = await self._kept.find(wanted.job, client.client)
            raise answer_not_found(wanted.id, found.why if isinstance(found, Absent) else "")
        return archive.deleted(wanted.id)

    async def _end(self, wanted: Wanted, client: AccessToken) -> None:
        deadline = time.monotonic() + STOPPED_WITHIN
        while time.monotonic() < deadline:
            found = await self._kept.find(wanted.job, client.client)
            if isinstance(found, Absent) or found.has_ended:
                return
            await asyncio.sleep(LOOK_EVERY)


def readable(found: Found, job: str, endpoint: Endpoint[Any]) -> KeptAnswer:
    """Return an answer as it can be rendered. Raises Problem."""
    try:
        head, ask, bot = heads.read(found.head, job, endpoint.ask)
    except msgspec.DecodeError as error:
        _log.error("cannot read what another version has kept: %s", error)
        raise internal_error() from None
    return KeptAnswer(found, head, ask, bot)


def standing_of(found: Found, events: Sequence[Event]) -> Standing:
    """Return how far an answer has come that had these events after it was found."""
    if found.has_ended or (events and is_terminal(events[-1])):
        return "ended"
    return "in_progress" if found.has_begun or events else "queued"
