"""Splits the thoughts of a model from its answer, where both come as one text.

Two forms are known, each at the very beginning of an answer:

    *Thinking...*                 <think>           (`think_tags` says in what spellings)
                                  The question is …
    > The question is:            </think>
    >
    > what is it?                 It is …

    It is …

The left one is Poe's, with `…` for the dots in some bots and a counter of seconds in others;
older bots leave the asterisks out. Its thoughts are the quote that follows the heading, up to
the first line that is none; so an answer may itself begin with a quote, below a blank line. A
heading without a quote is a part of the answer, as is a quote without a heading.

The starred form is distinctive enough to be looked for in every answer, and so is a tag: an answer
that begins with one is a thinking model's, whatever the catalogue says. A bare `Thinking...` is
looked for only where the model `thinks`: another may be writing about it.

What was decided never depends on where the network cut: a decision is made when no text that
could still come would change it, and until then the text waits.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from contract.messages import Event, Finished, Reasoning, Replaced, Text
from worker.poe.status_lines import BARE_HEADING, STARRED_HEADING, may_become_heading
from worker.shaping.think_tags import OPENING, TaggedThoughts, may_open

_LONGEST_MARGIN = 40
_TO_WORD = re.compile(rf"\s{{0,{_LONGEST_MARGIN}}}")
_WORD = re.compile(r"\s{0,40}")

# Every beginning of the above, and a little more: that costs nothing, since text that waits is
# not lost.
_BEGUN = r"[.…]{0,3}[* \d()hms elapsd]{0,40}\s{0,64}"
_BEGUN_STARRED = re.compile(rf"\*Thinking{_BEGUN}")
_BEGUN_BARE = re.compile(rf"Thinking{_BEGUN}")
_LONGEST_MARGIN = 40

_WORD = re.compile(r"\S")
_BLANK_LINES = re.compile(r"(?:[^\S\n]*\n)+")


class Splitter:
    """Splits one text that only grows."""

    def __init__(self, *, thinks: bool) -> None:
        self._thinks = thinks
        self._held = ""
        # What is taken off the held text is cut away once: with each line it would cost the
        # square of a long text's length.
        self._at = 0
        self._step: Callable[[], bool] = self._open
        self._begun = False
        self._tagged: TaggedThoughts | None = None
        self._is_apart = False
        self._thoughts: list[str] = []
        self._answer: list[str] = []

    @property
    def is_answering(self) -> bool:
        """Return whether all that may still come belongs to the answer."""
        return self._step == self._say

    def feed(self, text: str) -> tuple[str, str]:
        """Return what is added to the thoughts, and what to the answer."""
        self._advance(text)
        return self._taken()

    def _advance(self, text: str) -> None:
        self._held += text
        while self._at < len(self._held) and self._step():
            pass
        self._held, self._at = self._held[self._at :], 0

    def finish(self) -> tuple[str, str]:
        """Decide, because nothing follows."""
        while self._step == self._think and self._tagged:
            self._add_thoughts(self._tagged.finish())
            self._held, self._step = "", self._skip
            self._advance(self._tagged.rest or "")
        if self._step == self._open or (self._step == self._skip and self._held.strip()):
            self._answer.append(self._held)
        self._held = ""
        return self._taken()

    def _taken(self) -> tuple[str, str]:
        taken = "".join(self._thoughts), "".join(self._answer)
        self._thoughts.clear()
        self._answer.clear()
        return taken

    # Each step takes something off what is held, or becomes another step, and tells whether it
    # did: if not, it waits for more text.

    def _open(self) -> bool:
        if match := STARRED_HEADING.match(self._held) or (
            self._thinks and BARE_HEADING.match(self._held)
        ):
            return self._become(self._quote, match.end())
        if tag := OPENING.match(self._held, _word_in(self._held)):
            self._tagged = TaggedThoughts()
            return self._become(self._think, tag.end())
        return not self._may_open() and self._become(self._say)

    def _may_open(self) -> bool:
        if may_become_heading(self._held, starred=True):
            return True
        if self._thinks and may_become_heading(self._held, starred=False):
            return True
        tag = self._held.lstrip()
        return len(self._held) - len(tag) <= _LONGEST_MARGIN and may_open(tag)

    def _quote(self) -> bool:
        if self._begun:
            self._thoughts.append("\n")
        self._begun = True
        return self._become(self._quoted, self._at + (self._held[self._at] == " "))

    def _quoted(self) -> bool:
        end = self._held.find("\n", self._at)
        if end == -1:
            self._thoughts.append(self._rest())
            return False
        self._thoughts.append(self._held[self._at : end])
        return self._become(self._line, end + 1)

    def _line(self) -> bool:
        if self._held[self._at] == ">":
            return self._become(self._quote, self._at + 1)
        return self._become(self._skip, self._at)

    def _think(self) -> bool:
        assert self._tagged is not None  # noqa: S101
        self._add_thoughts(self._tagged.feed(self._rest()))
        if self._tagged.rest is None:
            return False
        self._held = self._tagged.rest
        return self._become(self._skip)

    def _add_thoughts(self, text: str) -> None:
        if text:
            self._thoughts.append(f"\n\n{text}" if self._is_apart else text)
            self._begun, self._is_apart = True, False

    def _skip(self) -> bool:
        if match := _BLANK_LINES.match(self._held, self._at):
            self._at = match.end()
        word = _WORD.search(self._held, self._at)
        if word is None:
            return False
        if self._tagged is not None:
            if tag := OPENING.match(self._held, word.start()):
                self._tagged, self._is_apart = TaggedThoughts(), self._begun
                return self._become(self._think, tag.end())
            if may_open(self._held[word.start() :]):
                return False
        return self._become(self._say, self._at)

    def _say(self) -> bool:
        self._answer.append(self._rest())
        return False

    def _rest(self) -> str:
        rest, self._at = self._held[self._at :], len(self._held)
        return rest

    def _become(self, step: Callable[[], bool], at: int = 0) -> bool:
        self._step = step
        self._at = at
        return True


def _word_in(text: str) -> int:
    """Return where the first word of an answer begins."""
    match = _TO_WORD.match(text)
    return match.end() if match else 0


class ThoughtSplitter:
    """The stage that splits: `Text` and `Replaced` become those and `Reasoning`.

    A client cannot take reasoning back. Where a replaced text thinks on from what was sent, only
    what is new is sent; where it thinks otherwise, what was sent stays and nothing is added.
    """

    def __init__(self, *, thinks: bool) -> None:
        self._thinks = thinks
        self._splitter = Splitter(thinks=thinks)
        self._answered = False
        self._sent = io.StringIO()
        self._size = 0
        # How much of what was sent this version of the text has come to; None: it conflicts.
        self._matched: int | None = 0

    @property
    def is_settled(self) -> bool:
        """Return whether further `Text` passes unchanged."""
        return self._splitter.is_answering and self._answered

    def take(self, event: Event) -> list[Event]:
        match event:
            case Text(text):
                return self._added(*self._splitter.feed(text))
            case Replaced(text):
                return self._replaced(text)
            case Finished():
                return [*self.flush(), event]
            case _:
                return [event]

    def flush(self) -> list[Event]:
        return self._added(*self._splitter.finish())

    def _added(self, thoughts: str, answer: str) -> list[Event]:
        events: list[Event] = []
        if new := self._new(thoughts):
            events.append(Reasoning(new))
        if answer:
            self._answered = True
            events.append(Text(answer))
        return events

    def _replaced(self, text: str) -> list[Event]:
        self._splitter = Splitter(thinks=self._thinks)
        self._matched = 0
        thoughts, answer = self._splitter.feed(text)
        if not self._answered:
            return self._added(thoughts, answer)
        self._answered = bool(answer)
        return [*self._added(thoughts, ""), Replaced(answer)]

    def _new(self, thoughts: str) -> str:
        """Return what of these thoughts the client lacks."""
        if not thoughts or self._matched is None:
            return ""
        ahead = self._size - self._matched
        if ahead:
            sent = self._sent.getvalue()[self._matched :]
            if thoughts[:ahead] != sent[: len(thoughts)]:
                self._matched = None
                return ""
        new = thoughts[ahead:]
        self._sent.write(new)
        self._size += len(new)
        self._matched += len(thoughts)
        return new


def overlap(text: str, mark: str) -> int:
    """Return how many characters at the end of `text` begin `mark` without completing it."""
    for size in range(min(len(mark) - 1, len(text)), 0, -1):
        if text.endswith(mark[:size]):
            return size
    return 0


def without_thoughts(text: str) -> str:
    """Strip the thoughts off an answer of the past: models that read them imitate their form."""
    splitter = Splitter(thinks=True)
    return splitter.feed(text)[1] + splitter.finish()[1]
