"""The seam between the worker and its upstreams: types only.

An upstream is one way to ask Poe, in a folder of its own that exports one `Upstream` as `UPSTREAM`.
`worker.upstreams` finds it by its name in the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from contract.config import ModelSettings
from contract.messages import Job, MediaPart, Model, Options
from worker.poe.attachments import Attachment
from worker.poe.faults import FaultKind
from worker.poe.raw_json import Path
from worker.poe.reader import AnswerReader


@dataclass(frozen=True)
class Ask:
    """What one call asks."""

    job: Job
    model: Model | None = None
    """The catalogue's entry, if it has one."""
    simulate_roles: Literal[0, 1, 2] = 0
    """The setting of that name."""
    attachments: Mapping[MediaPart, Attachment] = field(default_factory=dict)
    """Every part of the messages that is not text, where the upstream needs uploads."""
    without: frozenset[Path] = frozenset()
    """What the model is known to refuse: see `Upstream.refused`."""


@dataclass(frozen=True)
class Request:
    """A POST to Poe."""

    path: str
    body: bytes
    is_whole: bool = False
    """Whether the answer comes as a whole, after a silence as long as it takes."""
    headers: tuple[tuple[str, str], ...] = ()
    """Beside those that every call has."""


def _keeps_none(options: Options) -> Options:
    return options


def _is_never_preferred(_job: Job, _model: Model | None, _setting: ModelSettings) -> bool:
    return False


def _serves_all(_job: Job) -> bool:
    return True


def _refuses_nothing(_ask: Ask, _message: str) -> frozenset[Path]:
    return frozenset()


def _carries_nothing(_job: Job, _model: Model | None) -> bool:
    return False


@dataclass(frozen=True)
class Upstream:
    """How Poe is asked over one of its interfaces, and how its answers are read. Pure.

    The defaults are those of an upstream that is asked only where the configuration says so.
    """

    name: str
    """As in the setting `protocol`, and in what a job has tried."""
    request: Callable[[Ask], Request]
    """Raises Fault for what cannot be asked."""
    reader: Callable[[Collection[str]], AnswerReader]
    """Makes the reader of one answer, given the names of the tools that it may call."""
    takes_json: bool = False
    """Whether an answer may also be one JSON document; it is read as one event."""
    needs_uploads: bool = False
    """Whether attachments are uploaded before a request is made."""
    has_formats: bool = False
    """Whether it has a field for the form of an answer, and takes no text back."""
    emulates_tools: bool = False
    """Whether tools may be described in words to a model that has none."""
    is_native: bool = False
    """Whether it is sent the job's `native` and answers with `Verbatim`: neither is shaped."""
    serves: Callable[[Job], bool] = _serves_all
    """Returns whether it can be asked for a job at all."""
    refused: Callable[[Ask, str], frozenset[Path]] = _refuses_nothing
    """Returns what of a call Poe has refused with a 400 that says this, and may be left out. The
    job is asked again without it, and so is whatever else is asked of the model,
    unless the path begins with `OF_JOB`."""
    unkept: Callable[[Options], Options] = _keeps_none
    """Returns the options without the limits that the upstream keeps by itself."""
    suits: Callable[[Job, Model | None, ModelSettings], bool] = _is_never_preferred
    """Returns whether `auto` prefers this upstream for a job."""
    carries: Callable[[Job, Model | None], bool] = _carries_nothing
    """Returns whether it can say all of a job that another upstream has refused."""
    refusals: frozenset[FaultKind] = frozenset()
    """Faults that blame the upstream itself, so that another one may answer."""
    doubtful: frozenset[FaultKind] = frozenset()
    """Faults that may be the upstream's own: where the job may be asked again, another one is."""
