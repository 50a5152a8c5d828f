"""The text of an answer as its client sees it.

    upstream's text   = what was shown  +  what is held back
    "Sorted.\\n\\nGenerating image (3s elapsed)"
     '----- shown -----' '------- held -------'

Shown text can be taken back only by `Replaced`, which a stream of OpenAI's chunks cannot
express. So whatever may be a placeholder is held back until what follows decides, and a
replacement that only continues what was shown goes out as the rest of it. One that does not, and a
short one at the head of the answer, wait for the next event: it may replace them in turn.
"""

from __future__ import annotations

import io

from contract.messages import Event, Replaced, Text
from worker.bot.placeholders import (
    Certainty,
    goes_on,
    heads_thoughts,
    judge,
    judge_replacement,
    looks_unfinished,
)
from worker.poe.faults import Fault, FaultKind
from worker.poe.status_lines import may_become_status_line

MAX_TEXT = 8 * 1024 * 1024
"""Characters of one answer. Poe bounds a bot's answer to 100,000; models that stream for
an hour at 200 tokens a second stay below this."""


_LONGEST_COMPARED = 2_000
"""Characters of a replaced text that is compared with what it replaces."""

_LONGEST_FIRST = 200
"""Characters of a text that may turn out to be the first placeholder of several."""


class Transcript:
    """What was shown of one answer, and what is held back."""

    def __init__(self, max_text: int = MAX_TEXT) -> None:
        self._max_text = max_text
        # Not a string: that would copy the whole answer with every word.
        self._shown = io.StringIO()
        self._size = 0
        self._held = ""
        self._certainty = Certainty.WORDS
        self._void = False
        """All that was shown is replaced, by what is held or by nothing yet."""
        self._replaced = ""
        """The text of the last replacement, if nothing has come since."""
        self._in_a_row = 0

    @property
    def is_empty(self) -> bool:
        """Return whether the answer has no text to show so far."""
        return self._void or self._size == 0

    def append(self, text: str) -> list[Event]:
        """Take more text. Raises Fault(PROTOCOL) beyond the bound, as `replace` does."""
        if not text:
            return []
        self._replaced, self._in_a_row = "", 0
        if self._held:
            return self._append_to_held(text)
        if self._void:
            return self._settle(text)
        if self._size == 0 and (may_become_status_line(text) or looks_unfinished(text)):
            self._replaced, self._in_a_row = text, int(looks_unfinished(text))
            return self._hold(text, judge(text, replaced=False, alone=True))
        return self._show(text)

    def replace(self, text: str) -> list[Event]:
        """Take the text that stands in for all before."""
        is_short = len(text) <= _LONGEST_COMPARED
        before, self._replaced = self._replaced * is_short, text * is_short
        begin, certainty = judge_replacement(text, before, self._in_a_row)
        if certainty is Certainty.WORDS and not goes_on(text, before) and self._may_be_first(text):
            begin = 0
        self._in_a_row = self._in_a_row + 1 if certainty else 0
        self._hold(text[begin:], certainty)
        if begin == 0:
            # Nothing, or only what may be a placeholder, in place of what was shown: taking it
            # back can wait for the new text, which most often begins with what was shown.
            self._void = self._size > 0
            return []
        return self._settle(text[:begin])

    def interrupt(self) -> list[Event]:
        """Decide, because something other than text follows."""
        return self._decide(Certainty.LIKELY)

    def finish(self, *, is_cut: bool = False) -> list[Event]:
        """Decide, because nothing follows: a cut leaves no placeholder for an answer."""
        events = self._decide(Certainty.LIKELY if is_cut else Certainty.SURE)
        if self._void:
            events += self._settle("")
        return events

    def _may_be_first(self, text: str) -> bool:
        """Return whether this may be the first of several placeholders, or drafts."""
        if self._size and not text.startswith(self._shown.getvalue()):
            return True
        return (self._void or not self._size) and len(text) <= _LONGEST_FIRST

    def _append_to_held(self, text: str) -> list[Event]:
        both = self._held + text
        if self._size == 0 and may_become_status_line(both):
            replaced = self._certainty is Certainty.SURE
            self._replaced = both
            return self._hold(both, judge(both, replaced=replaced, alone=False))
        if heads_thoughts(both):
            self._certainty = Certainty.WORDS
        return self._decide(Certainty.BY_ITSELF) + self.append(text)

    def _decide(self, vanishes: Certainty) -> list[Event]:
        held, self._held = self._held, ""
        if not held or self._certainty >= vanishes:
            return []
        return self._settle(held) if self._void else self._show(held)

    def _hold(self, text: str, certainty: Certainty) -> list[Event]:
        self._check_size(len(text))
        self._held, self._certainty = text, certainty
        return []

    def _show(self, text: str) -> list[Event]:
        self._size += len(text)
        self._check_size(self._size)
        self._shown.write(text)
        return [Text(text)]

    def _settle(self, text: str) -> list[Event]:
        """Make `text` what is shown, with as few events as possible."""
        self._void = False
        shown = self._shown.getvalue()
        if text.startswith(shown):
            return self._show(text[len(shown) :]) if len(text) > len(shown) else []
        self._check_size(len(text))
        self._shown = io.StringIO()
        self._shown.write(text)
        self._size = len(text)
        return [Replaced(text)]

    def _check_size(self, size: int) -> None:
        if size > self._max_text:
            raise Fault(FaultKind.PROTOCOL)
