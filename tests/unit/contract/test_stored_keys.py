"""The terms of stored keys: what may be set, and how it is kept."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest

from contract import stored_keys
from contract.config import ConfigError, Given
from contract.stored_keys import (
    KeyTerms,
    changes,
    digest_of,
    expiry,
    fields_of,
    may_be_secret,
    seconds,
    secret_of,
    stored_key,
    terms,
)

NOW = datetime.datetime(2027, 3, 1, 12, tzinfo=datetime.UTC)


def given(**values: Any) -> Given:
    return Given(values, {name: f"--{name}" for name in stored_keys.SETTABLE} | {"nmae": "--nmae"})


def test_a_key_is_what_its_fields_say_and_the_default_otherwise() -> None:
    key = terms(given(name="Ann", group="lab", models=["gpt-*"], dayBudget=500, expires="30d"), NOW)

    fields = fields_of(key)
    read = stored_key(
        "0123456789abcdef", {**fields, "created": msgspec.json.encode(NOW), "later": b"[1]"}, [0.5]
    )

    assert fields == {
        "name": b'"Ann"',
        "group": b'"lab"',
        "models": b'["gpt-*"]',
        "dayBudget": b"500",
        "expires": b'"2027-03-31T12:00:00Z"',
    }
    assert (read.name, read.models, read.day_budget) == ("Ann", ("gpt-*",), 500)
    assert (read.weight, read.rate_limit, read.disabled) == (1.0, None, False)
    assert read.expires == NOW + datetime.timedelta(days=30)
    assert [end.timestamp() for end in read.retiring] == [0.5]


def test_a_change_has_the_fields_that_are_given_and_no_others() -> None:
    assert changes(given(weight=2, labels={"cost centre": "7"}), NOW) == {
        "weight": b"2.0",
        "labels": b'{"cost centre":"7"}',
    }


def test_a_setting_that_gets_its_default_is_deleted() -> None:
    assert changes(given(weight=None, rateLimit=None), NOW) == {"weight": b"", "rateLimit": b""}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({}, "--name`: is missing", id="no name"),
        pytest.param({"name": None}, "--name`: is missing", id="name None"),
        pytest.param({"name": ""}, "--name` = '': must not be empty", id="empty name"),
        pytest.param({"name": " a"}, "--name`: expected printable text", id="space"),
        pytest.param({"name": "a\nb"}, "--name`: expected printable text", id="line end"),
        pytest.param({"name": "a" * 101}, "at most 100 characters", id="long name"),
        pytest.param({"name": "0123456789abcdef"}, "looks like the id of a key", id="an id"),
        pytest.param({"name": 7}, "expected text in quotes", id="a number"),
        pytest.param({"name": "a", "group": "b "}, "--group`: expected printable", id="group"),
        pytest.param({"name": "a", "weight": 0}, "expected a number >= 0.01", id="weight"),
        pytest.param(
            {"name": "a", "weight": float("nan")}, "--weight` = nan", id="weight that is no number"
        ),
        pytest.param({"name": "a", "rateLimit": 0}, "expected a whole number", id="rate"),
        pytest.param({"name": "a", "maxConcurrent": 1.5}, "a whole number", id="half a request"),
        pytest.param({"name": "a", "models": "gpt-4o"}, "expected a list", id="models"),
        pytest.param({"name": "a", "models": [""]}, "must not be empty", id="no model"),
        pytest.param({"name": "a", "dayBudget": -1}, "expected a whole number", id="budget"),
        pytest.param({"name": "a", "timeZone": "Mars/Base"}, "expected a time zone", id="zone"),
        pytest.param({"name": "a", "timeZone": "../etc"}, "expected a time zone", id="path"),
        pytest.param({"name": "a", "expires": "soon"}, "--expires` = 'soon': expected", id="when"),
        pytest.param(
            {"name": "a", "expires": "2027-01-01T00:00"}, "with its zone", id="without a zone"
        ),
        pytest.param({"name": "a", "expires": 7}, "--expires", id="a number for an instant"),
        pytest.param({"name": "a", "nmae": 1}, "did you mean `name`?", id="unknown"),
        pytest.param({"name": "a", "labels": {"a": 1}}, "--labels", id="labels"),
    ],
)
def test_a_mistake_is_told_with_the_name_of_its_setting(
    values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as told:
        terms(given(**values), NOW)

    assert message in str(told.value)


def test_a_key_that_has_expired_may_be_given_its_own_expiry_again() -> None:
    has = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    again = given(expires="2020-01-01T01:00:00+01:00", weight=2)

    assert changes(again, NOW, has) == {"expires": b'"2020-01-01T00:00:00Z"', "weight": b"2.0"}


@pytest.mark.parametrize("text", ["2020-01-01", "2027-02-28", "2027-03-01T12:00:00Z", "0d"])
def test_no_key_is_made_or_set_to_expire_in_the_past(text: str) -> None:
    for mistaken in (
        lambda: terms(given(name="a", expires=text), NOW),
        lambda: changes(given(expires=text), NOW),
    ):
        with pytest.raises(ConfigError) as told:
            mistaken()

        assert str(told.value) == (
            f"`--expires` = '{text}': has passed; to refuse a key at once, disable it"
        )


def test_a_key_may_expire_today() -> None:
    midnight = datetime.datetime(2027, 3, 2, tzinfo=datetime.UTC)

    assert terms(given(name="a", expires="2027-03-01"), NOW).expires == midnight


def test_a_key_cannot_lose_its_name() -> None:
    with pytest.raises(ConfigError, match="has to have a name"):
        changes(given(name=None), NOW)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2027-12-31", "2028-01-01T00:00:00+00:00"),
        ("2027-12-31T18:00:00+01:00", "2027-12-31T17:00:00+00:00"),
        ("90m", "2027-03-01T13:30:00+00:00"),
        ("2w", "2027-03-15T12:00:00+00:00"),
        ("9999-12-31", "9999-12-31T23:59:59.999999+00:00"),
    ],
)
def test_an_expiry_is_the_last_day_an_instant_or_a_span(text: str, instant: str) -> None:
    assert expiry(text, NOW).isoformat() == instant


@pytest.mark.parametrize(
    "text",
    [
        *("", "1y", "-1d", "2027-02-30", "99999w99999w", "12", "٣d"),
        pytest.param("0001-01-01T00:00:00+14:00", id="before year 1 in UTC"),
        pytest.param("9999-12-31T23:59:59-14:00", id="after year 9999 in UTC"),
    ],
)
def test_anything_else_is_no_expiry(text: str) -> None:
    with pytest.raises(ValueError, match="expected a day"):
        expiry(text, NOW)


def test_a_span_is_a_number_and_a_unit_or_zero() -> None:
    assert [seconds(text) for text in ("0", "1m", "2h", "3d", "1w")] == [
        0,
        60,
        7200,
        259_200,
        604_800,
    ]
    with pytest.raises(ValueError, match="expected a span"):
        seconds("5")


def test_a_secret_holds_256_random_bits_in_a_form_that_is_recognized() -> None:
    secrets = [secret_of(bytes([n]) * 32) for n in (0, 1, 0xFB, 0xFF)]

    assert len(set(secrets)) == 4
    assert all(len(secret) == len("sk-p2g-") + 43 and may_be_secret(secret) for secret in secrets)
    assert secret_of(b"\xfb\xff" * 16).startswith("sk-p2g--_")


@pytest.mark.parametrize(
    "text",
    ["", "sk-anne", "sk-p2g-", "sk-p2g-" + "A" * 42, "sk-p2g-" + "A" * 44, "sk-p2g-" + "é" * 43],
)
def test_other_texts_are_known_at_sight_not_to_be_secrets(text: str) -> None:
    assert not may_be_secret(text)


def test_the_digest_is_the_one_that_gateways_compute_of_any_key() -> None:
    from gateway.auth import digest_of as digest_of_the_gateway

    assert digest_of("sk-p2g-x") == digest_of_the_gateway("sk-p2g-x").hex()


def test_terms_have_no_field_that_could_hold_a_secret() -> None:
    assert not {"secret", "key", "digest"} & set(KeyTerms.__struct_fields__)
