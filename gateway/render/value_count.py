"""How many values a body holds, counted before any of them is made.

A value of three bytes (`[],`) becomes an object of sixty or more, and most of the time goes into
making it. The bytes of long texts and files cost next to nothing, so their number says little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice

from gateway.problems import invalid_request

MAX_VALUES = 250_000
"""Values, and names of members, in one body. A conversation of 10,000 messages has 50,000."""

_BLOCK = 1_000
# Each run of separators, text, bracket and number is one. None of them can be tried twice.
_TOKENS = re.compile(
    rb'(?:[\s,:}\]]++|"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[{\[]|[^\s"{}\[\],:]++){1,%d}+' % _BLOCK,
    re.DOTALL,
)
_BEFORE_VALUES = (b",", b":", b"{", b"[")


def refuse_too_many_values(body: bytes) -> None:
    """Raise Problem for more than about `MAX_VALUES` values.

    Takes a time in proportion to the body's size, and no memory.
    """
    if len(body) <= MAX_VALUES:
        return
    # Most large bodies hold a file: this is many times faster, and counts too many at worst.
    if sum(map(body.count, _BEFORE_VALUES)) < MAX_VALUES:
        return
    # There is at most one run of separators for each value.
    if next(islice(_TOKENS.finditer(body), 2 * MAX_VALUES // _BLOCK, None), None) is not None:
        raise invalid_request(
            f"The request's body holds more than {MAX_VALUES} JSON values. Send a shorter"
            " conversation, or fewer and smaller tools."
        )


def refuse_too_many_arguments(calls: Iterable[str]) -> None:
    """Raise Problem if the arguments of these calls, as JSON, hold too many in all."""
    if sum(arguments.count(",") + 1 for arguments in calls) > MAX_VALUES:
        message = f"The calls in the messages have more than {MAX_VALUES} arguments."
        raise invalid_request(message, "messages")
