"""All texts of the pages, each in every language. A screen has a module of its own here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from admin.texts import accounts, keys, now, shell, trial, usage

LANGUAGES = {"en": "English", "zh": "中文"}
"""The languages, with the names that they call themselves by; the first is the default."""

_TAGS = tuple(LANGUAGES)


def _merged(*catalogues: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    texts: dict[str, tuple[str, str]] = {}
    for catalogue in catalogues:
        if twice := texts.keys() & catalogue.keys():
            raise ValueError(f"texts of the same name: {', '.join(sorted(twice))}")
        texts.update(catalogue)
    return texts


TEXTS = _merged(shell.TEXTS, now.TEXTS, keys.TEXTS, accounts.TEXTS, usage.TEXTS, trial.TEXTS)


def text(language: str, name: str, /, **values: Any) -> str:
    """Return a text in a language, with these values in it. Raises KeyError for an unknown name."""
    return TEXTS[name][_TAGS.index(language)].format(**values)


def preferred(accepted: str) -> str:
    """Return our language that an Accept-Language header likes best."""
    best, liked = _TAGS[0], 0.0
    for choice in accepted.split(","):
        tag, _, rest = choice.strip().lower().partition(";")
        language = tag.partition("-")[0]
        weight = _weight(rest)
        if language in LANGUAGES and weight > liked:
            best, liked = language, weight
    return best


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if not name:
        return 1.0
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
