"""The upstreams, by the names that the setting `protocol` knows.

To add one, make a folder `worker/NAME/` that exports `UPSTREAM`, and add NAME to
`contract.config.UpstreamName`, which is the only list of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import get_args

from contract.config import UpstreamName
from worker.poe.upstream import Upstream


def exported(name: str) -> Upstream:
    """Return what the upstream's folder exports."""
    upstream: Upstream = import_module(f"worker.{name}").UPSTREAM
    return upstream


UPSTREAMS = {name: exported(name) for name in get_args(UpstreamName)}
"""The first is asked where no other one suits."""
