"""The conversation that a request goes on from: the kept answers before it, with their requests."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from contract.calls.kept import Broken, Turn
from gateway.config import AccessToken
from gateway.dialect import Archive, Endpoint
from gateway.exchange.admission import MIB
from gateway.exchange.kept import KeptAnswers, readable
from gateway.exchange.services import Services
from gateway.problems import Problem, invalid_value, previous_not_found, quoted
from gateway.queue.kept import Absent
from store.faults import RedisFault

_FIELD = "previous_response_id"


class Conversations:
    """The conversations of one gateway's clients. All of it raises Problem or RedisFault."""

    def __init__(self, services: Services, answers: KeptAnswers) -> None:
        self._hub = services.hub
        self._answers = answers
        self._most = services.config.max_body * MIB

    async def turns(
        self,
        endpoint: Endpoint[Any],
        archive: Archive[Any],
        job: str,
        client: AccessToken,
        *,
        continued: bool = False,
    ) -> tuple[Turn, ...]:
        """Return the turns up to this answer, the first one first.

        `continued`: another goes on from them now.
        """
        found = await self._hub.kept.recall(
            job, client.client, most=self._most, continued=continued
        )
        if isinstance(found, Broken):
            raise await self._broken(archive, found, job, client)
        return tuple([await self._settled(endpoint, archive, each, client) for each in found])

    async def _settled(
        self, endpoint: Endpoint[Any], archive: Archive[Any], turn: Turn, client: AccessToken
    ) -> Turn:
        """Return the turn with its output, which is made of its log once, when it is first used."""
        if turn.output:
            return turn
        found = await self._hub.kept.find(turn.job, client.client)
        if isinstance(found, Absent):
            raise previous_not_found(archive.id_of(turn.job), found.why)
        kept = readable(found, turn.job, endpoint)
        events = await self._hub.kept.events(turn.job)
        output = archive.output(kept.head, kept.ask, events, self._answers.problem(kept, events))
        self._hub.spawn(self._settle(turn.job, output))
        return msgspec.structs.replace(turn, output=output)

    async def _settle(self, job: str, output: bytes) -> None:
        # It saves the next turn some work, no more.
        with suppress(*RedisFault):
            await self._hub.kept.settle(job, output)

    async def _broken(
        self, archive: Archive[Any], broken: Broken, job: str, client: AccessToken
    ) -> Problem:
        name = archive.id_of(broken.job)
        match broken.reason:
            case "unended":
                reason = f"the response {quoted(name)} has not ended yet; wait until it has"
                return invalid_value(_FIELD, reason)
            case "large":
                reason = (
                    f"the conversation has more than {self._most // MIB} MiB (the setting"
                    " `maxBody`) or 5000 turns; start a new one"
                )
                return invalid_value(_FIELD, reason)
            case _:
                found = await self._hub.kept.find(broken.job, client.client)
                why = found.why if isinstance(found, Absent) else ""
                return previous_not_found(name, why, is_earlier=broken.job != job)
