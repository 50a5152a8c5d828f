"""Characters that input methods and word processors write in the place of ASCII's, or unseen."""

from __future__ import annotations

import unicodedata

_ASCII = {
    '"': "“”„‟″",
    "'": "‘’‚‛′",
    ",": "、",
    ".": "。",
    "[": "【",
    "]": "】",
    "-": "–—−",
}
_PLAIN = {alike: plain for plain, those in _ASCII.items() for alike in those}


def lookalike(text: str, at: int) -> str:
    """Say which ASCII character should stand at an index; empty if what stands there is no other.

    The character before it counts too: some parsers report the place at which they gave up.
    """
    found = (_meant(character) for character in text[max(at - 1, 0) : at + 1][::-1])
    return next(filter(None, found), "")


def first_lookalike(text: str) -> str:
    """Say the same of the first such character in a text."""
    return next(filter(None, map(_meant, text)), "")


def _meant(character: str) -> str:
    if character.isascii():
        return ""
    if unicodedata.category(character) == "Cf":
        return f"there is an invisible U+{ord(character):04X}, which does not belong there"
    # The full-width forms of ASCII, U+FF01 to U+FF5E, and spaces of other widths.
    folded = unicodedata.normalize("NFKC", character)
    plain = _PLAIN.get(character) or (folded if len(folded) == 1 and folded.isascii() else "")
    if not plain:
        return ""
    named = "a space" if plain == " " else plain
    return f"there is {character} (U+{ord(character):04X}) where {named} belongs"
