"""Which of Poe's two interfaces a job goes to, and whether the other may be tried after it.

The table is explained in docs/upstreams.md.
"""

from __future__ import annotations

import enum
import re

from contract.config import ModelSettings
from contract.messages import Job, MediaPart, Model
from worker.poe.faults import Fault, FaultKind

CHAT = "/v1/chat/completions"

_NOT_OF_THIS_KIND = re.compile(
    r"extra inputs are not permitted|\b(?:not|n't) support|\bunsupported\b|\bnot available\b",
    re.IGNORECASE,
)


class Kind(enum.Enum):
    """One of Poe's interfaces."""

    BOT = "bot"
    OPENAI = "openai"

    @property
    def other(self) -> Kind:
        return Kind.OPENAI if self is Kind.BOT else Kind.BOT


def route(job: Job, model: Model | None, setting: ModelSettings) -> Kind:
    """Choose the interface; `model` is the catalogue's entry, if it has one."""
    if setting.protocol != "auto":
        return Kind(setting.protocol)
    if model is None or CHAT not in model.endpoints:
        return Kind.BOT
    if is_media(model) and job.stream:
        # Pictures and videos take minutes, in which only the bot protocol shows signs of life.
        return Kind.BOT
    if _has_foreign_files(job) or (setting.tool_emulation and lacks_tools(job, model)):
        return Kind.BOT
    return Kind.OPENAI


def is_media(model: Model | None) -> bool:
    """Tell whether a model makes more than text."""
    return model is not None and any(made != "text" for made in model.output_modalities)


def lacks_tools(job: Job, model: Model | None) -> bool:
    """Tell whether tools are offered to a model that the catalogue knows to call none."""
    wanted = bool(job.options.tools) and job.options.tool_choice != "none"
    return wanted and model is not None and "tools" not in model.features


def emulates_tools(job: Job, kind: Kind, model: Model | None, setting: ModelSettings) -> bool:
    """Tell whether the tools are to be described in words.

    Raises Fault(BAD_REQUEST) for a model without tools where nothing else was configured; a
    protocol that was configured gets them as they are.
    """
    if setting.tool_emulation and kind is Kind.BOT:
        return bool(job.options.tools) and (model is None or "tools" not in model.features)
    if setting.protocol == "auto" and lacks_tools(job, model):
        message = _NO_TOOLS.format(job.model)
        raise Fault(FaultKind.BAD_REQUEST, message, sent=False, param="tools")
    return False


def fails_over(
    kind: Kind, fault: Fault, job: Job, model: Model | None, setting: ModelSettings
) -> bool:
    """Tell whether the other interface may answer what this one has refused.

    It is for the interface's sake that a call must have been refused, and nothing that was asked
    for may need this one.
    """
    if setting.protocol != "auto" or not fault.sent:
        return False
    told = fault.kind is FaultKind.BAD_REQUEST and _NOT_OF_THIS_KIND.search(fault.message)
    refused = fault.kind is FaultKind.NO_API_ACCESS or bool(told)
    if kind is Kind.OPENAI:
        refused = refused or fault.kind is FaultKind.MODEL_NOT_FOUND
        return refused and not _needs_openai(job)
    return refused and not _needs_bot(job, model)


def _needs_openai(job: Job) -> bool:
    """Tell whether something was asked for that the bot protocol has no word for."""
    return bool(job.options.tools) and job.options.tool_choice == "required"


def _needs_bot(job: Job, model: Model | None) -> bool:
    """Tell whether something was asked for that only the bot protocol can say."""
    return _has_foreign_files(job) or (model is None and bool(job.options.extra))


def _has_foreign_files(job: Job) -> bool:
    """Tell whether a file is given by its address, which the OpenAI API takes of images only."""
    return any(_is_foreign(part) for message in job.messages for part in message.media)


def _is_foreign(part: MediaPart) -> bool:
    return part.kind != "image" and part.url[:5].lower() != "data:"


_NO_TOOLS = (
    "The model {} cannot call tools. Its operator can have them emulated, by the setting "
    "`toolEmulation` of this model."
)
