"""Text that may be replaced, for a client that can only append.

Poe's bots take text back: a placeholder gives way to the answer, a draft to the final version. The
streams of the gateway's clients cannot. There are three cases, by what the client has and what the
answer now is:

    has "Hel",   answer "Hello"   the client lacks the rest: send it
    has "Hello", answer "Hel"     maybe the rest comes again: hold, and send what goes beyond
    has "Hello", answer "Bye"     conflict: start again below, with the whole answer

While nothing conflicts, what the client has is never repeated. An answer that ends while held
leaves the client with more than the answer, but with all of it.
"""

from __future__ import annotations

_BREAK = "\n\n"


class AppendOnly:
    """Says what to send so that the client's text ends with the answer."""

    def __init__(self) -> None:
        self._sent: list[str] = []  # since the last conflict
        self._held: str | None = None  # what was sent, joined, while the answer is behind it
        self._matched = 0  # how much of that the answer has come to again

    @property
    def sent(self) -> str:
        """What the client has, since the last conflict."""
        return "".join(self._sent)

    def append(self, text: str) -> str:
        """Return what to send, now that the answer goes on with `text`."""
        if self._held is None:
            self._sent.append(text)
            return text
        return self._follow(self._held, text)

    def replace(self, answer: str) -> str:
        """Return what to send, now that the answer is `answer` and nothing else."""
        self._matched = 0
        return self._follow(self.sent, answer)

    def _follow(self, sent: str, text: str) -> str:
        ahead = len(sent) - self._matched
        if text[:ahead] == sent[self._matched : self._matched + len(text)]:
            if len(text) < ahead:
                self._held = sent
                self._matched += len(text)
                return ""
            self._held, self._sent = None, [sent, text[ahead:]]
            return text[ahead:]
        answer = sent[: self._matched] + text
        self._held, self._sent = None, [answer]
        return _BREAK + answer
