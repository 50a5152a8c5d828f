"""The texts of the admin page, in all languages."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

import admin
from admin.texts import LANGUAGES, TEXTS, preferred

HERE = Path(admin.__file__).parent
SOURCES = [*HERE.rglob("*.html"), *HERE.rglob("*.py")]


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text)} - {None}


@pytest.mark.parametrize("name", TEXTS)
def test_each_text_says_the_same_in_every_language(name: str) -> None:
    said = TEXTS[name]

    assert len(said) == len(LANGUAGES)
    assert all(text.strip() for text in said)
    assert len({frozenset(placeholders(text)) for text in said}) == 1


def test_every_text_that_is_asked_for_exists() -> None:
    asked = {
        name
        for source in SOURCES
        for name in re.findall(r"""\bt\(["']([\w.]+[\w])["'][,)]""", source.read_text())
    }

    assert asked
    assert asked - TEXTS.keys() == set()


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB,en;q=0.9,zh;q=0.8", "en"),
        ("fr, zh;q=0.3, en;q=0.2", "zh"),
        ("zh;q=0, en;q=0.1", "en"),
        ("de, fr", "en"),
        ("ZH-hant", "zh"),
        ("zh;q=many", "en"),
        (";;,,=", "en"),
    ],
)
def test_the_browser_says_which_language_to_speak(accepted: str, language: str) -> None:
    assert preferred(accepted) == language
