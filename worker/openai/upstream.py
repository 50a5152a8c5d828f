"""Poe's OpenAI API, as the worker uses it."""

from __future__ import annotations

import msgspec

from contract.config import ModelSettings
from contract.messages import Job, Model
from worker.openai.reader import ChatReader
from worker.openai.request import body_of
from worker.poe.capabilities import has_linked_files, lacks_tools, makes_media
from worker.poe.faults import FaultKind
from worker.poe.max_tokens import unkept
from worker.poe.upstream import Ask, Request, Upstream

PATH = "/v1/chat/completions"


def _request(ask: Ask) -> Request:
    # Poe advises to take what is not text as a whole.
    is_whole = makes_media(ask.model)
    body = body_of(ask, stream=not is_whole)
    return Request(PATH, msgspec.json.encode(body), is_whole=is_whole)


def _suits(job: Job, model: Model | None, setting: ModelSettings) -> bool:
    if model is None or PATH not in model.endpoints:
        return False
    # Pictures and videos take minutes, in which only the bot protocol shows signs of life.
    is_slow = makes_media(model) and job.stream
    is_emulated = setting.tool_emulation and lacks_tools(job, model)
    return not (is_slow or is_emulated or has_linked_files(job))


def _carries(job: Job, model: Model | None) -> bool:
    # Parameters that no catalogue declares are sent over the bot protocol only.
    has_unknown_parameters = model is None and bool(job.options.extra)
    return not (has_linked_files(job) or has_unknown_parameters)


UPSTREAM = Upstream(
    name="openai",
    request=_request,
    reader=ChatReader,
    takes_json=True,
    unkept=unkept,
    suits=_suits,
    carries=_carries,
    refusals=frozenset({FaultKind.NO_API_ACCESS, FaultKind.MODEL_NOT_FOUND}),
)
