"""Ends an answer at a stop sequence or after `max_tokens` words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from simulated_poe.steps import DONE, End, Event, Step, Text


def limited(steps: Iterable[Step], stop: tuple[str, ...], most_words: int | None) -> Iterator[Step]:
    """Yield the steps up to the limit, then `done`.

    Text that may begin a stop sequence is held back until it turns out not to be one.
    """
    if not stop and most_words is None:
        yield from steps
        return
    held = max((len(sequence) - 1 for sequence in stop), default=0)
    text = sent = ""
    for step in steps:
        if isinstance(step, Text):
            text = step.text if step.replaces else text + step.text
            kept, reason = _kept(text, stop, most_words)
            now = kept if reason else kept[: max(len(kept) - held, 0)]
            if step.replaces or not now.startswith(sent):
                yield Text(now, replaces=True)
            elif len(now) > len(sent):
                yield Text(now[len(sent) :])
            sent = now
            if reason:
                ended = next((each for each in stop if text.startswith(each, len(kept))), "")
                yield End(reason, ended if reason == "stop" else "")
                yield DONE
                return
            continue
        if isinstance(step, Event | End) and len(text) > len(sent):
            yield Text(text[len(sent) :])
            sent = text
        yield step
    if len(text) > len(sent):
        yield Text(text[len(sent) :])


def _kept(
    text: str, stop: tuple[str, ...], most_words: int | None
) -> tuple[str, Literal["stop", "length"] | None]:
    places = [place for sequence in stop if (place := text.find(sequence)) >= 0]
    kept = text[: min(places)] if places else text
    # `most_words` + 1 words take at least 2 * `most_words` + 1 characters: count only then.
    if most_words is not None and len(kept) > 2 * most_words:
        within = re.match(rf"\s*\S+(?:\s+\S+){{{most_words - 1}}}(?=\s+\S)", kept)
        if within:
            return within[0], "length"
    return kept, "stop" if places else None
