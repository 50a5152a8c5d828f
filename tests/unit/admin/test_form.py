"""What is typed into the forms of keys and groups."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from admin import form
from contract import groups, stored_keys
from contract.config import Source
from contract.stored_keys import SETTABLE, KeyTerms

NOW = datetime.datetime(2026, 11, 27, tzinfo=datetime.UTC)


def check(given: Source) -> object:
    return stored_keys.changes(given, NOW)


FULL = KeyTerms(
    name="ann",
    group="team",
    weight=0.5,
    max_concurrent=3,
    rate_limit=60,
    models=("gpt-*", "Claude"),
    expires=NOW + datetime.timedelta(days=1),
    day_budget=0,
    week_budget=1,
    month_budget=2,
    total_budget=10**12,
    time_zone="Asia/Shanghai",
    labels={"a": "b = c"},
)


@pytest.mark.parametrize("key", [KeyTerms(name="ann"), FULL])
def test_what_is_shown_is_read_back(key: KeyTerms) -> None:
    values, mistakes = form.read(form.typed(form.shown(key, SETTABLE), SETTABLE), check)

    assert mistakes == {}
    assert values["dayBudget"] == key.day_budget
    assert values["labels"] == (key.labels or None)
    assert values["models"] == (list(key.models) or None)


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("rateLimit", " 1,000 ", 1000),
        ("dayBudget", "0", 0),
        ("dayBudget", "1,000,000", 1_000_000),
        ("weight", "2", 2.0),
        ("models", "a\r\n\r\n b ", ["a", "b"]),
        ("labels", "a=b\r\nc = d=e", {"a": "b", "c": "d=e"}),
        ("group", "  ", None),
        ("expires", "30d", "30d"),
    ],
)
def test_a_field_is_read(field: str, text: str, value: Any) -> None:
    values, mistakes = form.read(form.typed({field: text, "csrf": "x"}, SETTABLE), check)

    assert (values, mistakes) == ({field: value}, {})


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("name", ""),
        ("name", "a" * 101),
        ("name", "0123456789abcdef"),
        ("name", "a\x00b"),
        ("group", "a\nb"),
        ("rateLimit", "0"),
        ("rateLimit", "1.5"),
        ("rateLimit", "1,00"),
        ("rateLimit", "9" * 400),
        ("rateLimit", "١"),
        ("maxConcurrent", "-1"),
        ("weight", "nan"),
        ("weight", "inf"),
        ("weight", "0"),
        ("dayBudget", "1e3"),
        ("totalBudget", "1000000000001"),
        ("timeZone", "../etc/passwd"),
        ("timeZone", "Mars"),
        ("expires", "2027-13-01"),
        ("expires", "2027-01-01T00:00"),
        ("expires", "2026-11-26"),
        ("models", "a" * 101),
        ("models", "\n".join("abc" for _ in range(1001))),
        ("labels", "a"),
        ("labels", "a=1\na=2"),
        ("labels", "=x"),
        ("labels", "a=" + "x" * 201),
    ],
)
def test_a_mistake_names_the_text_that_says_so(field: str, text: str) -> None:
    _, mistakes = form.read(form.typed({field: text}, SETTABLE), check)

    assert mistakes == {field: form.wrong(field)}


def test_only_what_was_changed_is_sent() -> None:
    before = form.shown(FULL, SETTABLE)

    assert form.changed({**before, "weight": "1"}, before) == {"weight": "1"}
    assert form.changed(before, {}) == before
    assert set(before) == set(SETTABLE)


def test_a_group_takes_budgets_and_a_time_zone() -> None:
    typed = form.typed({"dayBudget": "5", "timeZone": "Mars", "name": "x"}, groups.SETTABLE)

    values, mistakes = form.read(typed, lambda given: groups.changes("team", given))

    assert values["dayBudget"] == 5
    assert set(mistakes) == {"timeZone"}
