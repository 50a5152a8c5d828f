"""Poe's Responses API, as the worker uses it."""

from __future__ import annotations

import msgspec

from contract.config import ModelSettings
from contract.messages import Job, Model
from worker.poe.capabilities import lacks_tools, makes_media
from worker.poe.faults import FaultKind
from worker.poe.max_tokens import unkept
from worker.poe.parameters import thinks
from worker.poe.upstream import Ask, Request, Upstream
from worker.responses.reader import ResponsesReader
from worker.responses.request import body_of, can_say, refused, searches

PATH = "/v1/responses"


def _request(ask: Ask) -> Request:
    # As over Poe's other API: what is not text comes as a whole.
    is_whole = makes_media(ask.model)
    body = body_of(ask, stream=not is_whole)
    return Request(PATH, msgspec.json.encode(body), is_whole=is_whole)


def _suits(job: Job, model: Model | None, setting: ModelSettings) -> bool:
    """Return whether it carries more of the job than chat completions, and nothing less."""
    if model is None or PATH not in model.endpoints or makes_media(model):
        return False
    if setting.tool_emulation and lacks_tools(job, model):
        return False
    return _gains(job, model) and can_say(job, model)


def _gains(job: Job, model: Model) -> bool:
    options = job.options
    is_strict = any(tool.strict for tool in options.callable_tools)
    tells = bool(options.summary) and thinks(model)
    # Over the other API, only those search that declare a parameter for it.
    finds = searches(options, model) and "web_search" not in model.parameters
    return options.format is not None or is_strict or tells or finds


UPSTREAM = Upstream(
    name="responses",
    request=_request,
    reader=ResponsesReader,
    takes_json=True,
    has_formats=True,
    refused=refused,
    unkept=unkept,
    suits=_suits,
    # What it refuses as invalid may be the field that the other API does without.
    refusals=frozenset({FaultKind.NO_API_ACCESS, FaultKind.MODEL_NOT_FOUND, FaultKind.BAD_REQUEST}),
    # By Poe's own words a 500 may mean an invalid request.
    doubtful=frozenset({FaultKind.UPSTREAM_DOWN}),
)
