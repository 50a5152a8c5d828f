"""Characters beyond U+FFFF that an upstream has cut in half.

JSON writes a character beyond U+FFFF as two escapes, a surrogate pair. Who cuts text into chunks by
UTF-16 units sends the halves in two of them: `{"text": "\\ud83d"}`, `{"text": "\\ude00"}`. Half a
character cannot be encoded, so it waits for the other half; one that stays alone becomes U+FFFD.
"""

from __future__ import annotations

_LOST = "\ufffd"


def whole(text: str) -> str:
    """Return the text with surrogate pairs joined and single surrogates replaced by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


class SurrogateJoiner:
    """Joins surrogate pairs in one text that comes in pieces."""

    def __init__(self) -> None:
        self._half = ""

    @property
    def is_waiting(self) -> bool:
        """Return whether half a character waits for its other half."""
        return bool(self._half)

    def join(self, piece: str) -> str:
        """Return what can be returned of the text so far and was not returned before."""
        if not self._half and piece.isascii():
            return piece
        text = self._half + piece
        self._half = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return whole(text.removesuffix(self._half))

    def rest(self) -> str:
        """Return what was held back, because nothing follows."""
        half, self._half = self._half, ""
        return _LOST if half else ""
