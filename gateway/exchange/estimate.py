"""What a request may cost, in points, before it is asked of Poe. Pure."""

from __future__ import annotations

from contract.messages import Model, Options
from gateway.dialect import Ask
from gateway.exchange.bodies import prompt_tokens

USUAL_ANSWER = 1_000
"""Tokens that an answer is taken to have whose client sets no bound."""


def points_of(ask: Ask, options: Options, model: Model | None, default: int) -> int:
    """Return the points that each choice may cost; `default` where the price is not known.

    An answer counts as long as its client lets it be, or as the model can make it.
    """
    if model is None or model.price is None:
        return default
    price = model.price
    if price.is_flat:
        return price.estimate(0, 0)
    most = USUAL_ANSWER if options.max_tokens is None else options.max_tokens
    if model.max_output_tokens is not None:
        most = min(most, model.max_output_tokens)
    return price.estimate(prompt_tokens(ask), most)
