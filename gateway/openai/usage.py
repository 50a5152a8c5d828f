"""OpenAI's usage object."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.render.usage import UsageMeter, total


def usage_of(meters: Sequence[UsageMeter]) -> dict[str, int | bool]:
    """Return the usage of an answer, with `estimated` where the upstream has not counted."""
    prompt, completion, is_estimated = total(meters)
    fields: dict[str, int | bool] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    return fields | ({"estimated": True} if is_estimated else {})
