"""Tells Poe's placeholders from words.

While a model thinks or draws, Poe's bots show "Thinking...", "Generating image (3s elapsed)"
and the like, and take it back by a `replace_response`. No list of them is published; these are
the forms that poe-to-gpt filters, and those that issues quote. A client that cannot take text
back must never see one, and must never lose a word that merely looks like one.
"""

from __future__ import annotations

import enum
import re

_LABELS = (
    "Thinking",
    "Searching",
    "Searching the web",
    "Generating",
    "Generating image",
    "Generating video",
    "Generating audio",
)
_COUNTER = r" ?\(\d+s elapsed\)"
_DOTS = r" ?(?:\.{3}|…)"

_WHOLE = re.compile(rf"\s*(?:{'|'.join(_LABELS)})(?:{_DOTS})?({_COUNTER})?\s*")
_LONGEST_LABEL = max(map(len, _LABELS))
_LONGEST = 120
"""Characters of a placeholder with its counter; the longest seen has 35."""

# What may stand behind a label while a placeholder is still arriving. It admits a little more
# than that, which costs nothing: text that waits is not lost.
_BEGUN_REST = re.compile(r" ?[.…]{0,3} ?(?:\(\d{0,6}[s elapsd]{0,10}\)?)?\s*")

_COUNTED_LAST_LINE = re.compile(rf"(?:\A|(?<=\n))[^\n]{{0,80}}{_COUNTER}\s*\Z")

# Bounded, for a bot may send any number of line breaks at once.
_HEADING = re.compile(rf"\s*Thinking{_DOTS}(?:{_COUNTER})?[^\S\n]{{0,8}}\n\s{{0,40}}>")


class Standing(enum.IntEnum):
    """How sure it is that a held text is a placeholder, by what may make it vanish."""

    WORDS = 0
    """Nothing: it is a part of the answer unless the upstream itself takes it back."""
    LIKELY = 1
    """A file or a tool call: those words, but they came in pieces, as a model's words do."""
    BY_ITSELF = 2
    """More text, too: it came as one event of its own."""
    SURE = 3
    """The end of the answer, too: it counts seconds, or has replaced something."""


def judge(text: str, *, replaced: bool, alone: bool) -> Standing:
    """Weigh a text by its form and by how it came."""
    match = _WHOLE.fullmatch(text)
    # A bare "Thinking" is a word; only dots or a counter make it a placeholder.
    if match is None or text.strip() in _LABELS:
        return Standing.WORDS
    if replaced or match[1]:
        return Standing.SURE
    return Standing.BY_ITSELF if alone else Standing.LIKELY


def may_become_one(text: str) -> bool:
    """Tell whether `text` is a placeholder or the beginning of one."""
    if len(text) > _LONGEST:
        return False
    text = text.lstrip()
    if len(text) <= _LONGEST_LABEL and any(label.startswith(text) for label in _LABELS):
        return True
    return any(
        text.startswith(label) and _BEGUN_REST.fullmatch(text, len(label)) for label in _LABELS
    )


def heads_thoughts(text: str) -> bool:
    """Tell whether what looks like a placeholder is the heading of a quote: of thoughts."""
    return _HEADING.match(text) is not None


def last_line_begins(text: str) -> int:
    """Return where the placeholder at the end of a replaced text begins, or the text's length.

    That is the whole text, or a last line that counts seconds: bots announce each step of what
    they do below what they have done.
    """
    if judge(text, replaced=True, alone=True):
        return 0
    # The pattern is anchored at its end, so only the end is searched.
    start = max(0, len(text.rstrip()) - _LONGEST)
    match = _COUNTED_LAST_LINE.search(text, start)
    return match.start() if match else len(text)
