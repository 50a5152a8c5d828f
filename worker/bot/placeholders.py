"""Tells placeholders from words of the answer.

While a model thinks or draws, Poe's bots show "Thinking...", "Generating image (3s elapsed)"
and the like, and take it back by a `replace_response`. No list of them is published, and bots have
wordings and languages of their own. So there are two signs:

    by its form         it is one of those that poe-to-gpt filters and that issues quote
    by its behaviour    it differs from what it replaces by numbers and marks alone, or is the third
                        in a row that ends in dots, a percentage or a count

A client that cannot take text back must never see one, and must never lose a word that merely
looks like one.
"""

from __future__ import annotations

import enum
import re

from worker.poe.status_lines import BARE_HEADING, COUNTED_LAST_LINE, LABELS, LONGEST, STATUS_LINE

# Dots, perhaps with a count, a percentage, or a count in brackets that are no link's.
_UNFINISHED = re.compile(
    r"(?:(?:\.{2,}|…|。{2,})(?:[^\S\n]?\d{1,6}[^\S\n]?[^\W\d_]{0,3})?|[%％]"
    r"|(?<!\])[(（][^()（）\n]{0,20}\d[^()（）\n]{0,20}[)）])[*_~`\s]*\Z"
)
_IN_A_ROW = 2
"""Replaced texts that looked unfinished, after which another such is one more of them."""

# Where a number begins, so that the unit behind it is seen, whatever stands before it.
_NO_LETTER = re.compile(
    r"(?<!\d)\d++\s*+(?:(?:[hms]|sec|min|сек|мин|[счм])\b|秒[钟鐘]?|分[钟鐘间間]?|초|분)"
    r"|\belapsed\b|[\W\d_]"
)


class Certainty(enum.IntEnum):
    """How certain it is that a held text is a placeholder. Each level says what may drop the
    text."""

    WORDS = 0
    """Nothing: it is a part of the answer unless the upstream takes it back."""
    LIKELY = 1
    """A file, a tool call or a cut: a status line that came in pieces, as a model's words do, or a
    replacement that looks unfinished."""
    BY_ITSELF = 2
    """Also more text: it came as one event of its own, or the bot keeps replacing it."""
    SURE = 3
    """Also the end of the answer: it counts seconds, or has replaced something."""


def judge(text: str, *, replaced: bool, alone: bool) -> Certainty:
    """Judge a text by its form and by how it came."""
    match = STATUS_LINE.fullmatch(text)
    # A bare "Thinking" is a word; only dots or a counter make it a placeholder.
    if match is None or text.strip() in LABELS:
        return Certainty.WORDS
    if replaced or match[1]:
        return Certainty.SURE
    return Certainty.BY_ITSELF if alone else Certainty.LIKELY


def heads_thoughts(text: str) -> bool:
    """Return whether what looks like a placeholder is a heading of thoughts."""
    return BARE_HEADING.match(text) is not None


def looks_unfinished(text: str) -> bool:
    """Return whether these few words say that more is to come, in any language."""
    return len(text) <= LONGEST and "\n" not in text.strip() and bool(_UNFINISHED.search(text))


def judge_replacement(text: str, before: str, in_a_row: int) -> tuple[int, Certainty]:
    """Return where what may be a placeholder begins in a replaced text, and how sure that is.

    `before` is what the text replaces, empty if that is long or not known; `in_a_row` is how many
    texts that looked unfinished were replaced before this one.
    """
    begin = last_line_begins(text)
    if certainty := judge(text[begin:], replaced=True, alone=True):
        return begin, certainty
    if goes_on(text, before):
        return len(text), Certainty.WORDS
    if before:
        begin = _differing_line(text, before)
        if _is_variation(text[begin:], before[begin:]):
            return begin, Certainty.BY_ITSELF
    begin = text.rfind("\n", 0, len(text.rstrip())) + 1
    if looks_unfinished(text[begin:]):
        return begin, Certainty.BY_ITSELF if in_a_row >= _IN_A_ROW else Certainty.LIKELY
    return len(text), Certainty.WORDS


def goes_on(text: str, before: str) -> bool:
    """Return whether a replaced text only adds words to what it replaces."""
    return bool(before) and text.startswith(before) and _letters(text) != _letters(before)


def _is_variation(text: str, before: str) -> bool:
    if max(len(text), len(before)) > LONGEST or "\n" in text.strip() or not before.strip():
        return False
    if text.strip() == before.strip():
        return looks_unfinished(text)
    return _letters(text) == _letters(before)


def _differing_line(text: str, before: str) -> int:
    """Return where the first line begins in which the two differ."""
    same = 0
    for ours, theirs in zip(text.splitlines(True), before.splitlines(True), strict=False):
        if ours != theirs:
            break
        same += len(ours)
    # Where nothing differs, it is the last line that was said again.
    return same if same < len(text) else text.rfind("\n", 0, len(text.rstrip())) + 1


def _letters(text: str) -> str:
    """Return the text without numbers and marks."""
    return _NO_LETTER.sub("", text)


def last_line_begins(text: str) -> int:
    """Return where the placeholder at the end of a replaced text begins, or the text's length.

    That is the whole text, or a last line that counts seconds: bots announce each step of what
    they do below what they have done.
    """
    if judge(text, replaced=True, alone=True):
        return 0
    # The pattern is anchored at its end, so only the end is searched.
    start = max(0, len(text.rstrip()) - LONGEST)
    match = COUNTED_LAST_LINE.search(text, start)
    return match.start() if match else len(text)
