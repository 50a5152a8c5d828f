"""Token counts, estimated where the upstream reports none.

A true count would need each model's vocabulary, which most publish nowhere and which would
have to be downloaded. The rule used instead: an ASCII byte is a quarter of a token, and any
other byte of UTF-8 a third. That makes English about right, a Chinese or Japanese character
(three bytes) one token, a Cyrillic letter two thirds, an emoji four thirds. Since the rule adds
up over characters, a text counts the same however it is cut.
"""

from __future__ import annotations

_NON_ASCII = bytes(range(0x80, 0x100))


class TokenCounter:
    """Counts text as it comes, and keeps none of it."""

    def __init__(self) -> None:
        self._twelfths = 0

    def add(self, text: str) -> None:
        self._twelfths += _twelfths(text)

    @property
    def tokens(self) -> int:
        """The estimate so far, rounded up: no text counts as nothing."""
        return -(-self._twelfths // 12)

    def fitting(self, text: str, tokens: int) -> int:
        """Return how many characters of `text` may follow before `tokens` are exceeded."""
        left = 12 * tokens - self._twelfths
        if _twelfths(text) <= left:
            return len(text)
        # The text up to `fits` is within the limit, and up to `over` it is not. Character by
        # character, a text of megabytes would take seconds.
        fits, over = 0, len(text)
        while over - fits > 1:
            middle = (fits + over) // 2
            cost = _twelfths(text[fits:middle])
            if cost <= left:
                left -= cost
                fits = middle
            else:
                over = middle
        return fits


def _twelfths(text: str) -> int:
    if text.isascii():
        return 3 * len(text)
    encoded = text.encode("utf-8", "surrogatepass")
    ascii_bytes = len(encoded.translate(None, _NON_ASCII))
    return 3 * ascii_bytes + 4 * (len(encoded) - ascii_bytes)


def estimate_tokens(text: str) -> int:
    """Estimate how many tokens a text is."""
    return -(-_twelfths(text) // 12)
