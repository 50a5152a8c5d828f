"""Several words looked for in a text at once (Aho and Corasick, 1975).

The words form a tree, in which each character of the text takes one step down. Where there is none,
it goes on from the longest end of what was read that begins some word, too. So a character costs
about one step, however many words there are, how long they are, and how the text is cut.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable


class Automaton:
    """Reads a text piece by piece, up to the first word that is complete."""

    def __init__(self, words: Iterable[str]) -> None:
        self._steps: list[dict[str, int]] = [{}]
        self._depths = [0]
        self._words = [0]
        """For each state, how many characters the longest word has that ends there."""
        for word in words:
            self._add(word)
        self._fallbacks = [0] * len(self._steps)
        self._link()
        firsts = "".join(self._steps[0])
        self._first = re.compile(f"[{re.escape(firsts)}]" if firsts else "(?!)")
        self._state = 0

    @property
    def begun(self) -> int:
        """Return how many characters at the end of the text so far begin a word."""
        return self._depths[self._state]

    def reset(self) -> None:
        """Forget what was read."""
        self._state = 0

    def find(self, text: str) -> tuple[int, int] | None:
        """Read on; return where the word that is complete first begins and ends, if one is.

        It begins before 0 if its beginning was read before. Of those that end together, it is the
        longest.
        """
        state, at = self._state, 0
        while at < len(text):
            if not state:
                # Most of a text begins no word, and this passes over it at once.
                first = self._first.search(text, at)
                if first is None:
                    break
                at = first.start()
            state = self._step(state, text[at])
            at += 1
            if self._words[state]:
                self._state = state
                return at - self._words[state], at
        self._state = state
        return None

    def _step(self, state: int, character: str) -> int:
        while state and character not in self._steps[state]:
            state = self._fallbacks[state]
        return self._steps[state].get(character, 0)

    def _add(self, word: str) -> None:
        state = 0
        for depth, character in enumerate(word, 1):
            following = self._steps[state].setdefault(character, len(self._steps))
            if following == len(self._steps):
                self._steps.append({})
                self._depths.append(depth)
                self._words.append(0)
            state = following
        self._words[state] = len(word)

    def _link(self) -> None:
        """Find where each state falls back to, those near the root first."""
        states = deque(self._steps[0].values())
        while states:
            state = states.popleft()
            self._words[state] = self._words[state] or self._words[self._fallbacks[state]]
            for character, following in self._steps[state].items():
                self._fallbacks[following] = self._step(self._fallbacks[state], character)
                states.append(following)
