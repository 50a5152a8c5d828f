"""OpenAI's usage object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.render.usage import UsageMeter, cached, reasoned, total


def usage_of(meters: Sequence[UsageMeter]) -> dict[str, Any]:
    """Return the usage of an answer, with `estimated` where the upstream has not counted.

    The details are there where the upstream tells them.
    """
    prompt, completion, is_estimated = total(meters)
    fields: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if (tokens := cached(meters)) is not None:
        fields["prompt_tokens_details"] = {"cached_tokens": tokens}
    if (tokens := reasoned(meters)) is not None:
        fields["completion_tokens_details"] = {"reasoning_tokens": tokens}
    return fields | ({"estimated": True} if is_estimated else {})
