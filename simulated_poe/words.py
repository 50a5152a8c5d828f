"""Long texts that a test can generate for itself and compare."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

# Characters of one to four bytes, Markdown and quotes: what naive relays corrupt.
_WORDS = (
    "alpha beta gamma delta naïve café über señor 東京 こんにちは 한국어 Привет שלום 🙂 👩‍🚀 "
    '"quoted" back\\slash {brace} <tag> & `code` **bold** _it_ data: event: [DONE] \t \n\n * > # '
    "one two three four five six seven eight nine ten river stone cloud ember north south "
    "queue token stream worker gateway answer question lantern harbour meadow winter summer "
)
WORDS = tuple(word for word in _WORDS.split(" ") if word)


def words(seed: int, count: int) -> Iterator[str]:
    """Yield the words of `long_text`, each but the first with a leading space."""
    state = seed
    for position in range(count):
        # Knuth's MMIX generator; its upper bits are the most random.
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        word = WORDS[(state >> 33) % len(WORDS)]
        yield f" {word}" if position else word


def long_text(seed: int, count: int) -> str:
    """Return the answer of the bot Long: `count` words, determined by the seed."""
    return "".join(words(seed, count))


def checksum(text: str) -> str:
    """Return a text's SHA-256, to compare answers without keeping them."""
    return hashlib.sha256(text.encode()).hexdigest()
