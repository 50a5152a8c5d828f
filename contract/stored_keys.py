"""Access tokens that are made at run time, and kept in Redis: *stored keys*.

Redis holds the digest of a key's secret and never the secret, which is 256 random bits. So a plain
SHA-256 is enough: nobody can guess what it was made of. A key has an id that never changes; it
names the client in the queue, in its limits and in its idempotency keys, whatever the key is called
and however often its secret is replaced.

In Redis a key is a hash with a field for each setting that is not the default, each as JSON. So two
changes of different settings never undo each other, and what a later version has added stays.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from contract import time_zones
from contract.config import ConfigError, Key, Settings, Source, keys_of, unknown_key
from contract.texts import PLAIN, is_plain
from contract.time_zones import time_zone

BEGINNING = "sk-p2g-"
"""What every secret begins with: clients of OpenAI expect `sk-`, and a leaked one is recognized."""

RANDOM_BYTES = 32
"""How much of a secret is random."""

_SECRET = re.compile(rf"{BEGINNING}[A-Za-z0-9_-]{{43}}", re.ASCII)
_ID = re.compile(r"[0-9a-f]{16}", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_SPAN = re.compile(r"(\d{1,5})([mhdw])", re.ASCII)
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}

Points = Annotated[int, Meta(ge=0, le=1_000_000_000_000)]
"""A budget."""
_Count = Annotated[int, Meta(ge=1, le=1_000_000)]
_Name = Annotated[str, Meta(min_length=1, max_length=100)]
_Label = Annotated[str, Meta(min_length=1, max_length=100)]


class KeyTerms(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What the holder of a key may do: all that can be set."""

    name: _Name
    """What logs and metrics call the client; no two stored keys have the same."""
    group: Annotated[str, Meta(max_length=100)] = ""
    """The team that the client belongs to. Empty: none."""
    weight: Annotated[float, Meta(ge=0.01, le=1_000)] = 1.0
    """The client's share of the starts when others wait too, beside their weights."""
    max_concurrent: _Count | None = None
    """The most requests at a time, queued ones included. None: no bound but `maxQueued`."""
    rate_limit: _Count | None = None
    """The most requests in any 60 seconds."""
    models: Annotated[tuple[_Label, ...], Meta(max_length=1_000)] = ()
    """The models that the client may use; `*` in a name stands for any text. Empty: all."""
    expires: datetime.datetime | None = None
    """From when on the key is refused."""
    day_budget: Points | None = None
    """The most points that may be spent in a day, from midnight on. None: any number."""
    week_budget: Points | None = None
    """The same from Monday to Sunday."""
    month_budget: Points | None = None
    total_budget: Points | None = None
    """The most points that may ever be spent."""
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"
    """Where days begin: a name of the IANA time zone database, such as `Europe/Berlin`."""
    labels: Annotated[dict[_Label, Annotated[str, Meta(max_length=200)]], Meta(max_length=32)] = {}
    """Whatever the operator wants to note. Nothing depends on it."""


class StoredKey(KeyTerms, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """A key, with what is known of it beside its terms."""

    id: str
    """Names the client in Redis and in the worker."""
    created: datetime.datetime
    disabled: bool = False
    """Whether it is refused until it is enabled again."""
    retiring: tuple[datetime.datetime, ...] = ()
    """Until when each secret is valid that has been replaced."""


SETTABLE = tuple(keys_of(KeyTerms))
"""The names of the settings of a key."""


def terms(given: Source, now: datetime.datetime) -> KeyTerms:
    """Check the terms of a new key: `name`, and whichever others are given. Raises ConfigError."""
    if given.values.get("name") is None:
        raise ConfigError(f"{given.where(('name',))}: is missing")
    return _checked(given, {}, now)


def changes(
    given: Source, now: datetime.datetime, expires: datetime.datetime | None = None
) -> dict[str, bytes]:
    """Check changes of a key, and return its fields in Redis; an empty one is to be deleted.

    A setting that is None gets its default. `expires` is what the key has, which may be given again
    though it has passed. Raises ConfigError.
    """
    if "name" in given.values and given.values["name"] is None:
        raise ConfigError(f"{given.where(('name',))}: a key has to have a name")
    fields = fields_of(_checked(given, {"name": "-"}, now, expires))
    return {key: fields.get(key, b"") for key in given.values}


def fields_of(key: KeyTerms) -> dict[str, bytes]:
    """Return the fields of a key's hash in Redis: those that are not the default, as JSON."""
    values = msgspec.to_builtins(key)
    return {name: msgspec.json.encode(value) for name, value in values.items()}


def stored_key(id_: str, fields: Mapping[str, bytes], retiring: Sequence[float] = ()) -> StoredKey:
    """Read a key; `retiring` is in seconds of Unix time. Fields of a later version are left out.

    Raises msgspec.ValidationError or msgspec.DecodeError for what this version cannot read.
    """
    values = {name: msgspec.json.decode(value) for name, value in fields.items()}
    ends = [datetime.datetime.fromtimestamp(at, datetime.UTC) for at in retiring]
    return msgspec.convert({**values, "id": id_, "retiring": ends}, StoredKey)


def described(key: StoredKey, now: datetime.datetime) -> dict[str, Any]:
    """Return all that is known of a key, as JSON has it: for people and programs who look."""
    values = {name: getattr(key, field) for field, name in _JSON_NAMES.items()}
    described: dict[str, Any] = msgspec.to_builtins({**values, "state": state(key, now)})
    return described


def state(key: StoredKey, now: datetime.datetime) -> Literal["active", "disabled", "expired"]:
    """Return whether a key is accepted, and if not, why."""
    if key.disabled:
        return "disabled"
    return "expired" if key.expires is not None and key.expires <= now else "active"


_JSON_NAMES = {
    field.name: field.encode_name
    for field in sorted(msgspec.structs.fields(StoredKey), key=lambda field: field.name != "id")
}


def secret_of(random: bytes) -> str:
    """Return the secret that is made of `RANDOM_BYTES` random bytes."""
    return BEGINNING + urlsafe_b64encode(random).decode().rstrip("=")


def may_be_secret(text: str) -> bool:
    """Return whether this has the form of a secret: nothing else need be looked for."""
    return _SECRET.fullmatch(text) is not None


def digest_of(secret: str) -> str:
    """Return the digest by which Redis knows a secret, in hex."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_id(text: str) -> bool:
    """Return whether this has the form of a key's id."""
    return _ID.fullmatch(text) is not None


def expiry(text: str, now: datetime.datetime) -> datetime.datetime:
    """Return the instant that a person means: a last day (UTC), an instant, or a span from now.

    `2027-12-31`, `2027-12-31T18:00:00+01:00`, `90m`, `12h`, `30d`, `4w`. Raises ValueError.
    """
    try:
        if _DAY.fullmatch(text):
            return _end_of(datetime.date.fromisoformat(text))
        if _SPAN.fullmatch(text):
            return now + datetime.timedelta(seconds=seconds(text))
        instant = datetime.datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return instant.astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError(
        "expected a day (2027-12-31), an instant with its zone (2027-12-31T18:00:00Z),"
        " or a span from now (30d)"
    )


def seconds(text: str) -> float:
    """Return the seconds of a span such as `90m`, `12h`, `30d`, `4w` or `0`. Raises ValueError."""
    if text == "0":
        return 0.0
    if not (match := _SPAN.fullmatch(text)):
        raise ValueError("expected a span such as 90m, 12h, 30d or 4w, or 0")
    return float(int(match[1]) * _SECONDS[match[2]])


def _end_of(day: datetime.date) -> datetime.datetime:
    last = datetime.datetime.combine(day, datetime.time.max, datetime.UTC)
    if day == datetime.date.max:  # there is no day after it
        return last
    return last + datetime.timedelta(microseconds=1)


@dataclass(frozen=True)
class With:
    """Other values from the same source."""

    source: Source
    values: Mapping[str, Any]

    def where(self, key: Key) -> str:
        return self.source.where(key)


def _checked(
    given: Source,
    others: Mapping[str, Any],
    now: datetime.datetime,
    expires: datetime.datetime | None = None,
) -> KeyTerms:
    for name in given.values:
        if name not in SETTABLE:
            raise unknown_key(given.where((name,)), name, SETTABLE)
    values = {**others, **{k: v for k, v in given.values.items() if v is not None}}
    if isinstance(when := values.get("expires"), str):
        values["expires"] = _expiry(given, when, now, expires)
    key = Settings(With(given, values)).struct(KeyTerms)
    _check_texts(key, given)
    check_zone(key.time_zone, given)
    return key


def _expiry(
    given: Source, text: str, now: datetime.datetime, has: datetime.datetime | None
) -> datetime.datetime:
    where = f"{given.where(('expires',))} = {text!r}"
    try:
        at = expiry(text, now)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    if at <= now and at != has:
        raise ConfigError(f"{where}: has passed; to refuse a key at once, disable it")
    return at


def _check_texts(key: KeyTerms, given: Source) -> None:
    texts = {
        "name": [key.name],
        "group": [key.group],
        "models": key.models,
        "labels": [*key.labels.keys(), *key.labels.values()],
    }
    for name, each in texts.items():
        if not all(map(is_plain, each)):
            raise ConfigError(f"{given.where((name,))}: {PLAIN}")
    if is_id(key.name):
        raise ConfigError(f"{given.where(('name',))}: it looks like the id of a key")


def check_zone(name: str, given: Source) -> None:
    """Raise ConfigError unless this is the name of a time zone."""
    if time_zone(name) is None:
        raise ConfigError(f"{given.where(('timeZone',))} = {name!r}: {time_zones.EXPECTED}")
