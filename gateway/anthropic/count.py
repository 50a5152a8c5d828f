"""The tokens of a request, which are estimated by the same rule as those of an answer."""

from __future__ import annotations

import msgspec

from gateway.anthropic.request import MessagesAsk
from gateway.dialect import Reply
from gateway.render.usage import estimate_prompt

ESTIMATED = ("x-token-count", "estimated")
"""Tells that the tokens are not counted by the model's own rule."""


def counted(ask: MessagesAsk) -> Reply:
    """Return how many tokens the request is."""
    tokens = ask.prompt_tokens or estimate_prompt(ask.messages, ask.options.tools)
    return Reply(200, msgspec.json.encode({"input_tokens": tokens}), [ESTIMATED])
