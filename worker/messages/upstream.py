"""Poe's Anthropic API, as the worker uses it."""

from __future__ import annotations

from contract.config import ModelSettings
from contract.messages import Job, Model
from worker.messages.reader import MessagesReader
from worker.messages.request import PATH, native_of, refused, request_of
from worker.poe.capabilities import lacks_tools, makes_media
from worker.poe.faults import FaultKind
from worker.poe.upstream import Upstream


def _serves(job: Job) -> bool:
    return native_of(job) is not None


def _suits(job: Job, model: Model | None, setting: ModelSettings) -> bool:
    if model is None or PATH not in model.endpoints or not _serves(job):
        return False
    is_emulated = setting.tool_emulation and lacks_tools(job, model)
    return not (makes_media(model) or is_emulated)


UPSTREAM = Upstream(
    name="messages",
    request=request_of,
    reader=MessagesReader,
    is_native=True,
    serves=_serves,
    refused=refused,
    suits=_suits,
    refusals=frozenset({FaultKind.NO_API_ACCESS, FaultKind.MODEL_NOT_FOUND}),
)
