"""The ids of responses: `resp_`, and the name of the job that answers."""

from __future__ import annotations

import re

_ID = re.compile(r"resp_([0-9a-f]{24})")


def id_of(job: str) -> str:
    """Return the id of the response that this job makes."""
    return f"resp_{job}"


def job_of(response: str) -> str | None:
    """Return the job of a response; None: no response of ours has this id."""
    match = _ID.fullmatch(response)
    return match[1] if match else None
