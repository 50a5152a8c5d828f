"""Which upstream a job goes to, and whether another may be tried after it.

The table is explained in docs/upstreams.md.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from contract.config import ModelSettings
from contract.messages import Job, Model
from worker.poe.capabilities import lacks_tools
from worker.poe.faults import Fault, FaultKind
from worker.poe.upstream import Upstream
from worker.upstreams import UPSTREAMS

_UNSUPPORTED = re.compile(
    r"extra inputs are not permitted|\b(?:not|n't) support|\bunsupported\b|\bnot available\b"
    r"|does not match any of the expected tags",
    re.IGNORECASE,
)


def route(
    job: Job,
    model: Model | None,
    setting: ModelSettings,
    tried: Collection[str] = (),
    *,
    unused: Collection[str] = (),
) -> Upstream:
    """Choose the upstream; `model` is the catalogue's entry, if it has one.

    `tried` has the names of the upstreams that have refused the job, `unused` of those that are
    asked only where a model's settings say so.
    """
    if setting.protocol != "auto" and UPSTREAMS[setting.protocol].serves(job):
        return UPSTREAMS[setting.protocol]
    default, *others = UPSTREAMS.values()
    used = (each for each in others if each.name not in unused)
    best = next((each for each in used if each.suits(job, model, setting)), default)
    return best if best.name not in tried else _other(best, job, model, tried) or best


def emulates_tools(
    job: Job, upstream: Upstream, model: Model | None, setting: ModelSettings
) -> bool:
    """Return whether the tools are to be described in words.

    Raises Fault(BAD_REQUEST) for a model without tools where nothing else was configured; an
    upstream that was configured gets them as they are.
    """
    if setting.tool_emulation and upstream.emulates_tools:
        return bool(job.options.tools) and (model is None or "tools" not in model.features)
    if setting.protocol != upstream.name and lacks_tools(job, model):
        message = _NO_TOOLS.format(job.model)
        raise Fault(FaultKind.BAD_REQUEST, message, sent=False, param="tools")
    return False


def fallback(
    upstream: Upstream,
    fault: Fault,
    job: Job,
    model: Model | None,
    setting: ModelSettings,
    *,
    tried: Collection[str] = (),
) -> Upstream | None:
    """Return the upstream that may answer what this one has refused, if any.

    The upstream itself must be the reason for the refusal, and the other one must be able to say
    all that the job asks. `tried` has those that have refused the job before.
    """
    is_set = setting.protocol == upstream.name
    if is_set or not fault.sent or not _blames(upstream, fault):
        return None
    return _other(upstream, job, model, tried)


def instead(
    upstream: Upstream,
    fault: Fault,
    job: Job,
    model: Model | None,
    setting: ModelSettings,
    *,
    tried: Collection[str] = (),
) -> Upstream | None:
    """Return the upstream that is to be asked after this fault, which may be this one's own, if
    any: the job may be asked again in any case."""
    if setting.protocol == upstream.name or fault.kind not in upstream.doubtful:
        return None
    return _other(upstream, job, model, tried)


def _other(
    upstream: Upstream, job: Job, model: Model | None, tried: Collection[str]
) -> Upstream | None:
    # From the end: the interface that takes most of what a client can say is there.
    passed = {*tried, upstream.name}
    others = (each for each in reversed(UPSTREAMS.values()) if each.name not in passed)
    return next((each for each in others if each.carries(job, model)), None)


def _blames(upstream: Upstream, fault: Fault) -> bool:
    unsupported = fault.kind is FaultKind.BAD_REQUEST and _UNSUPPORTED.search(fault.message)
    return bool(unsupported) or fault.kind in upstream.refusals


_NO_TOOLS = (
    "The model {} cannot call tools. Its operator can have them emulated, by the setting "
    "`toolEmulation` of this model."
)
