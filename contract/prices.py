"""What a call costs, in points, by the pricing of Poe's catalogue.

Poe gives strings in USD: `prompt`, `completion`, `input_cache_read` and `input_cache_write` for a
token, `request` for a call. That 1 point is 1/33,000 USD is documented nowhere: it is inferred
from prices that are round in points (claude-sonnet-4.6: 85 points for 1,000 tokens of input). Nor
is it known how Poe rounds, so a call is rounded up to whole points.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import msgspec

POINTS_PER_USD = 33_000

MOST_POINTS = 10**12
"""No call counts as more, whatever its tokens are said to be: scripts add these up."""

_UNITS = 10**15
"""Prices are whole numbers of femtodollars, so that sums of them are exact."""

_MOST = 1_000
"""USD. Whatever is more is no price; it would not fit into msgpack's integers either."""


class Price(msgspec.Struct, frozen=True, array_like=True):
    """The price of one model, in femtodollars (10^-15 USD)."""

    prompt: int = 0
    """For a token of the prompt."""
    completion: int = 0
    """For a token of the completion, thoughts included."""
    cache_read: int | None = None
    """For a token of the prompt that was read from a cache. None: as any other."""
    cache_write: int | None = None
    """For a token of the prompt that was written to a cache. None: as any other."""
    request: int = 0
    """For each call, whatever its tokens."""

    @property
    def is_flat(self) -> bool:
        """Whether each call costs the same."""
        return self.prompt == 0 and self.completion == 0

    def estimate(self, prompt_tokens: int, max_tokens: int) -> int:
        """Return the points that a call costs at most, if these are its tokens."""
        return self.points(prompt_tokens, max_tokens)

    def points(
        self,
        prompt_tokens: int,
        completion_tokens: int,
        cached_tokens: int | None = None,
        written_tokens: int | None = None,
    ) -> int:
        """Return the points that a call with these tokens costs, rounded up; at most `MOST_POINTS`.

        `prompt_tokens` are all of the prompt's, also those read from a cache and written to one.
        """
        prompt = max(prompt_tokens, 0)
        read = min(max(cached_tokens or 0, 0), prompt)
        written = min(max(written_tokens or 0, 0), prompt - read)
        units = (
            self.request
            + (prompt - read - written) * self.prompt
            + read * (self.prompt if self.cache_read is None else self.cache_read)
            + written * (self.prompt if self.cache_write is None else self.cache_write)
            + max(completion_tokens, 0) * self.completion
        )
        return min(-(-units * POINTS_PER_USD // _UNITS), MOST_POINTS)


def price_of(item: Mapping[str, object]) -> Price | None:
    """Return the price in an item of the catalogue; None: it is not known.

    It is known where there is a price for a call, or one for each kind of token. A field that is
    missing, null or not a price counts as not known. Nor is it known what images cost, so a model
    that has a price for nothing else is not free.
    """
    pricing = item.get("pricing")
    if not isinstance(pricing, Mapping):
        return None
    request, prompt, completion, read, write = (
        _units(pricing.get(name))
        for name in ("request", "prompt", "completion", "input_cache_read", "input_cache_write")
    )
    if request is None and (prompt is None or completion is None):
        return None
    if not (request or prompt or completion) and _units(pricing.get("image")):
        return None
    return Price(prompt or 0, completion or 0, read, write, request or 0)


def _units(price: object) -> int | None:
    if isinstance(price, bool) or not isinstance(price, str | int | float):
        return None
    try:
        # A float says what it means in its shortest form only.
        usd = Decimal(str(price).strip())
    except (InvalidOperation, ValueError):  # not a number, or an integer of too many digits
        return None
    return round(usd * _UNITS) if usd.is_finite() and 0 <= usd <= _MOST else None
