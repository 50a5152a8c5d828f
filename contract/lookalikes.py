"""Characters that input methods and word processors write in the place of ASCII's."""

from __future__ import annotations

_ASCII = {
    '"': "“”„‟＂″",
    "'": "‘’‚‛＇′",
    ",": "，、",
    ":": "：",
    "=": "＝",
    "[": "［【",
    "]": "］】",
    "{": "｛",
    "}": "｝",
    "#": "＃",
    "-": "－–—",
    ".": "．。",
    " ": "\u00a0\u3000",
}
_PLAIN = {alike: plain for plain, those in _ASCII.items() for alike in those}


def lookalike(text: str, at: int) -> str:
    """Say which ASCII character should stand at an index; empty if what stands there is no other.

    Beside its index, a parser may mean the character before it: some report where they gave up.
    """
    for character in text[max(at - 1, 0) : at + 1][::-1]:
        if plain := _PLAIN.get(character):
            return f"there is {character} (U+{ord(character):04X}) where {_named(plain)} belongs"
    return ""


def first_lookalike(text: str) -> str:
    """Say the same of the first such character in a text."""
    return next((lookalike(text, at) for at, each in enumerate(text) if each in _PLAIN), "")


def _named(plain: str) -> str:
    return "a space" if plain == " " else plain
