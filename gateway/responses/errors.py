"""Errors, in the words of the Responses API: OpenAI's bodies, but other names of the fields."""

from __future__ import annotations

import re
from dataclasses import replace

from gateway.problems import Kind, Problem

_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
}
"""Fields as the upstream names them, and as this API does. The rest of a path differs too."""

_HEAD = re.compile(r"\w+")


def worded(problem: Problem) -> Problem:
    """Return the problem as it looks to a client of this API."""
    if problem.kind is Kind.CONTEXT_TOO_LONG:
        return replace(problem, param="input")
    head = _HEAD.match(problem.param or "")
    name = _NAMES.get(head[0]) if head else None
    return replace(problem, param=name) if name else problem
