"""Poe's status lines and headings of thoughts: their one grammar.

    Thinking...                      a status line: shown while a model works, and taken back by a
    Generating image (3s elapsed)    `replace_response`

    *Thinking...*                    a heading: the quote below it is what the model thinks; older
    > The question is:               bots leave the asterisks out

No list of them is published. These are the forms that poe-to-gpt filters and that issues quote.
"""

from __future__ import annotations

import re

LABELS = (
    "Thinking",
    "Searching",
    "Searching the web",
    "Generating",
    "Generating image",
    "Generating video",
    "Generating audio",
)

LONGEST = 120
"""Characters of a status line with its counter; the longest seen has 35."""

_LONGEST_LABEL = max(map(len, LABELS))
_COUNTER = r" ?\((?:\d{1,6}(?:\.\d)?[hms] ?){1,3} ?elapsed\)"
_DOTS = r" ?(?:\.{3}|…)"

STATUS_LINE = re.compile(rf"\s*(?:{'|'.join(LABELS)})(?:{_DOTS})?({_COUNTER})?\s*")
"""A whole one; its first group is the counter."""

COUNTED_LAST_LINE = re.compile(rf"(?:\A|(?<=\n))[^\n]{{0,80}}{_COUNTER}\s*\Z")
"""A last line that counts seconds, in whatever words."""

# Bounded throughout, so that what waits for a decision is, too.
_MARGIN = 40
_TO_QUOTE = r"[^\S\n]{0,8}\n\s{0,40}>"
_HEADING = rf"Thinking{_DOTS}(?:{_COUNTER})?"

BARE_HEADING = re.compile(rf"\s{{0,{_MARGIN}}}{_HEADING}{_TO_QUOTE}")
STARRED_HEADING = re.compile(rf"\s{{0,{_MARGIN}}}\*{_HEADING}\*(?:{_COUNTER})?{_TO_QUOTE}")
"""Both up to the first mark of the quote."""

# Every beginning of the above, and a little more: that costs nothing, since text that waits is
# not lost.
_BEGUN_REST = re.compile(r" ?[.…]{0,3} ?(?:\([\d.hms elapsd]{0,40}\)?)?\s*")
_BEGUN_HEADING = r" ?[.…]{0,3}[* \d.()hms elapsd]{0,40}\s{0,64}"
_BEGUN_STARRED = re.compile(rf"\*Thinking{_BEGUN_HEADING}")
_BEGUN_BARE = re.compile(rf"Thinking{_BEGUN_HEADING}")


def may_become_status_line(text: str) -> bool:
    """Return whether `text` is a status line or the beginning of one."""
    if len(text) > LONGEST:
        return False
    text = text.lstrip()
    if len(text) <= _LONGEST_LABEL and any(label.startswith(text) for label in LABELS):
        return True
    return any(
        text.startswith(label) and _BEGUN_REST.fullmatch(text, len(label)) for label in LABELS
    )


def may_become_heading(text: str, *, starred: bool) -> bool:
    """Return whether `text` is the beginning of a heading, in this one of its two forms."""
    word = text.lstrip()
    if len(text) - len(word) > _MARGIN:
        return False
    first, begun = ("*Thinking", _BEGUN_STARRED) if starred else ("Thinking", _BEGUN_BARE)
    return first.startswith(word) or begun.fullmatch(word) is not None
