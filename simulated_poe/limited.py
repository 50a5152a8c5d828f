"""Ends an answer where the request says so: at a stop sequence, or after so many words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from simulated_poe.steps import DONE, End, Event, Step, Text


def limited(steps: Iterable[Step], stop: tuple[str, ...], most_words: int | None) -> Iterator[Step]:
    """Play the steps up to the limit, and then `done`.

    What may be the begin of a stop sequence is told only when it turns out not to be one.
    """
    if not stop and most_words is None:
        yield from steps
        return
    held = max((len(sequence) - 1 for sequence in stop), default=0)
    text = told = ""
    for step in steps:
        if isinstance(step, Text):
            text = step.text if step.replaces else text + step.text
            kept, reason = _kept(text, stop, most_words)
            now = kept if reason else kept[: max(len(kept) - held, 0)]
            if step.replaces or not now.startswith(told):
                yield Text(now, replaces=True)
            elif len(now) > len(told):
                yield Text(now[len(told) :])
            told = now
            if reason:
                yield End(reason)
                yield DONE
                return
            continue
        if isinstance(step, Event | End) and len(text) > len(told):
            yield Text(text[len(told) :])
            told = text
        yield step
    if len(text) > len(told):
        yield Text(text[len(told) :])


def _kept(
    text: str, stop: tuple[str, ...], most_words: int | None
) -> tuple[str, Literal["stop", "length"] | None]:
    places = [place for sequence in stop if (place := text.find(sequence)) >= 0]
    kept = text[: min(places)] if places else text
    # So many words and one more need so many characters: seldom is there anything to count.
    if most_words is not None and len(kept) > 2 * most_words:
        within = re.match(rf"\s*\S+(?:\s+\S+){{{most_words - 1}}}(?=\s+\S)", kept)
        if within:
            return within[0], "length"
    return kept, "stop" if places else None
