"""The forms of keys and groups: what is typed in, as settings, and the other way round. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from contract.config import ConfigError, Given, Source

BUDGETS = ("dayBudget", "weekBudget", "monthBudget", "totalBudget")

_WHOLE = re.compile(r"\d{1,13}|\d{1,3}(,\d{3}){1,4}", re.ASCII)


def shown(terms: msgspec.Struct, names: Iterable[str]) -> dict[str, str]:
    """Return what the fields of these names hold for the terms of a key or a group."""
    values = msgspec.to_builtins(terms)
    return {name: _text(values.get(name)) for name in names}


def typed(form: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    """Return the fields of these names of a form that was sent."""
    return {name: _unix(str(form[name])) for name in names if name in form}


def changed(fields: Mapping[str, str], before: Mapping[str, str]) -> dict[str, str]:
    """Return the fields that differ from what the form held when it was loaded.

    So two people who change different settings do not undo each other's changes.
    """
    return {name: text for name, text in fields.items() if text != before.get(name)}


def read(
    fields: Mapping[str, str], check: Callable[[Source], object]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the settings that are typed in, and for each mistaken field the text that says so.

    `check` raises ConfigError for a setting that is not allowed.
    """
    values: dict[str, Any] = {}
    mistakes: dict[str, str] = {}
    for name, text in fields.items():
        try:
            values[name] = _VALUES.get(name, str)(text) if text else None
            check(given({name: values[name]}))
        except (ConfigError, ValueError):
            mistakes[name] = wrong(name)
    return values, mistakes


def before_of(sent: Mapping[str, Any]) -> dict[str, str]:
    """Return what a form held when it was loaded; nothing where that is unreadable."""
    try:
        return msgspec.json.decode(str(sent.get("before")), type=dict[str, str])
    except msgspec.DecodeError:
        return {}


def given(values: Mapping[str, Any]) -> Given:
    """Return settings as the store takes them."""
    return Given(dict(values), {name: name for name in values})


def wrong(name: str) -> str:
    """Return the name of the text that says what is expected of a field."""
    return f"keys.f.{'budget' if name in BUDGETS else name}.wrong"


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.split("\n") if line.strip()]


def _labels(text: str) -> dict[str, str]:
    pairs = [line.partition("=") for line in _lines(text)]
    labels = {name.strip(): value.strip() for name, equals, value in pairs if equals}
    if len(labels) != len(pairs):
        raise ValueError("a line without `=`, or a name that is there twice")
    return labels


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise ValueError("not a whole number")
    return int(text.replace(",", ""))


_VALUES: dict[str, Callable[[str], Any]] = {
    "models": _lines,
    "labels": _labels,
    "weight": float,
    **dict.fromkeys(("maxConcurrent", "rateLimit", *BUDGETS), _whole),
}


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case dict():
            return "\n".join(f"{name} = {text}" for name, text in value.items())
        case list() | tuple():
            return "\n".join(map(str, value))
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
