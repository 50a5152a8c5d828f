"""Token counts, guessed where the upstream tells none.

A true count would need each model's vocabulary, which most publish nowhere and which would
have to be downloaded. The rule used instead: an ASCII byte is a quarter of a token, and any
other byte of UTF-8 a third. That makes English about right, a Chinese or Japanese character
(three bytes) one token, a Cyrillic letter two thirds, an emoji four thirds. Since the rule adds
up over characters, a text counts the same however it is cut.
"""

from __future__ import annotations

from collections.abc import Iterable

from contract.messages import Event, Message, Reasoning, Replaced, Text, ToolCallDelta, Usage

_NON_ASCII = bytes(range(0x80, 0x100))

# OpenAI's cookbook: each message is framed by some three tokens, as is the answer's beginning.
_PER_MESSAGE = 3
_ANSWER_START = 3


class TokenCounter:
    """Counts text as it comes, and keeps none of it."""

    def __init__(self) -> None:
        self._twelfths = 0

    def add(self, text: str) -> None:
        if text.isascii():
            self._twelfths += 3 * len(text)
            return
        encoded = text.encode("utf-8", "surrogatepass")
        ascii_bytes = len(encoded.translate(None, _NON_ASCII))
        self._twelfths += 3 * ascii_bytes + 4 * (len(encoded) - ascii_bytes)

    @property
    def tokens(self) -> int:
        """The estimate so far, rounded up: no text counts as nothing."""
        return -(-self._twelfths // 12)


class UsageMeter:
    """Counts one answer: as the upstream says if it says so, else by estimate."""

    def __init__(self, prompt_tokens: int) -> None:
        self._prompt_tokens = prompt_tokens
        self._answer = TokenCounter()
        self._beside = TokenCounter()
        self._told: Usage | None = None

    def observe(self, event: Event) -> None:
        match event:
            case Text():
                self._answer.add(event.text)
            case Replaced():
                self._answer = TokenCounter()
                self._answer.add(event.text)
            case Reasoning():
                self._beside.add(event.text)
            case ToolCallDelta():
                self._beside.add(event.name)
                self._beside.add(event.arguments)
            case Usage():
                self._told = event

    @property
    def usage(self) -> Usage:
        completion_tokens = self._answer.tokens + self._beside.tokens
        return self._told or Usage(self._prompt_tokens, completion_tokens)


def estimate_tokens(text: str) -> int:
    """Guess how many tokens a text is."""
    counter = TokenCounter()
    counter.add(text)
    return counter.tokens


def estimate_prompt(messages: Iterable[Message]) -> int:
    """Guess how many tokens a conversation is, its framing included."""
    counter = TokenCounter()
    framing = _ANSWER_START
    for message in messages:
        framing += _PER_MESSAGE
        counter.add(message.text)
        counter.add(message.name)
        for call in message.tool_calls:
            counter.add(call.name)
            counter.add(call.arguments)
    return framing + counter.tokens
