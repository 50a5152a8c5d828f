"""The bot protocol, as the worker uses it."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from contract.messages import Job, Model
from worker.bot.reader import BotReader
from worker.bot.request import query_of
from worker.poe.faults import Fault, FaultKind
from worker.poe.upstream import Ask, Request, Upstream


def _request(ask: Ask) -> Request:
    if ask.job.model in ("", ".", ".."):
        # As parts of a path these name another resource.
        raise Fault(FaultKind.MODEL_NOT_FOUND, sent=False)
    path = f"/bot/{quote(ask.job.model, safe='')}"
    return Request(path, msgspec.json.encode(query_of(ask)))


def _carries(job: Job, _model: Model | None) -> bool:
    # No bot can be held to calling a tool.
    return not (job.options.tools and job.options.tool_choice == "required")


UPSTREAM = Upstream(
    name="bot",
    request=_request,
    reader=BotReader,
    needs_uploads=True,
    emulates_tools=True,
    carries=_carries,
    refusals=frozenset({FaultKind.NO_API_ACCESS}),
)
