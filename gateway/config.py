"""The settings of a gateway. None of them can hold a Poe token, nor a plain access token."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import math
from typing import Annotated

import msgspec
from msgspec import Meta

from contract import config, time_zones
from contract.config import ConfigError, ModelSettings, Settings
from contract.keys import PREFIX
from contract.lifetimes import LEDGER_LIFE
from contract.stored_keys import Points
from contract.texts import PLAIN, is_plain
from gateway.listening import addresses
from store import address

_Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_Count = Annotated[int, Meta(ge=1, le=1_000_000)]

_STRONG = 60.0
"""Bits: a key's length times the most that each of its characters can carry."""
_HOW_TO_MAKE_A_KEY = "make one with `openssl rand -hex 24`"


class AccessToken(msgspec.Struct, frozen=True):
    """One client's key, as a digest, and what that client may do."""

    digest: bytes
    """SHA-256 of the key: what an Authorization header is compared with."""
    client: str
    """The key's fingerprint, which names the client in Redis and in the worker."""
    name: str
    group: str = ""
    """The team that the client belongs to. Empty: none."""
    weight: float = 1.0
    """The client's share of the starts when others wait too, beside their weights."""
    max_concurrent: int | None = None
    """The most requests at a time, queued ones included. None: no bound but `max_queued`."""
    rate_limit: int | None = None
    """The most requests in any 60 seconds."""
    models: tuple[str, ...] = ()
    """The models that the client may use. Empty: all."""
    expires: float | None = None
    """Unix time in seconds from which on the key is refused."""
    day_budget: int | None = None
    """The most points that may be spent in a day. None: any number."""
    week_budget: int | None = None
    month_budget: int | None = None
    total_budget: int | None = None
    time_zone: str = "UTC"
    """Where days begin."""


FIXED = (
    *("host", "port", "redis_url", "key_prefix", "fingerprint_key"),
    *("trusted_proxies", "max_body", "drain_timeout"),
)
"""The settings that a running gateway cannot change."""


class GatewayConfig(msgspec.Struct, frozen=True, rename="camel"):
    """All settings of a gateway. Times are in seconds."""

    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65_535)] = 3700
    redis_url: str = config.REDIS_URL
    key_prefix: config.KeyPrefix = PREFIX
    """What the names of all keys and channels in Redis begin with."""
    access_tokens: tuple[AccessToken, ...] = ()
    """Beside these there are stored keys. Empty: without any of them, everyone may ask."""
    require_key: bool = False
    """Whether nobody may ask without a key, even if `access_tokens` is empty."""
    fingerprint_key: str = ""
    """The key of the fingerprints that name clients in Redis. Empty: anyone can compute them."""
    allowed_hosts: tuple[str, ...] = ()
    """Without access tokens: host names that this server answers to, and whose pages may ask."""
    trusted_proxies: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Networks whose X-Forwarded-For is believed."""
    bot: dict[str, Annotated[str, Meta(min_length=1)]] = {}
    """The upstream's name of a model, by the name that clients use."""
    models: dict[str, ModelSettings] = {}
    """By the upstream's names for them, folded to one case."""
    allow_any_bot: bool | None = None
    status_hold: Annotated[float, Meta(ge=0, le=60)] = 10.0
    """The longest time for which the status line waits for the first output."""
    queue_timeout: _Seconds = 300.0
    max_queued: _Count = 1_000
    """The most jobs of one client that wait."""
    max_queued_total: _Count = 10_000
    max_stored: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """The most MiB of one client's requests that are stored, each until it is answered.

    0: a quarter of what may be stored of all."""
    max_stored_total: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """0: half of what Redis may take."""
    max_body: Annotated[int, Meta(ge=1, le=1_024)] = 32
    """The largest request body in MiB."""
    resume_grace: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    """How long a request with an idempotency key runs on without its client."""
    resume_window: Annotated[float, Meta(ge=1, le=86_400)] = 600.0
    """How long its answer can be had again after its end."""
    resend_hold: Annotated[float, Meta(ge=0, le=300)] = 5.0
    """How long a request without such a key runs on for its client to send it again.

    Only clients that say when they do so are waited for. 0: none is, and none joins."""
    response_life: Annotated[float, Meta(ge=1, le=3_650 * 86_400)] = 30 * 86_400.0
    """How long a response that is stored can be had after its end."""
    default_points: Annotated[int, Meta(ge=0, le=1_000_000_000)] = 100
    """What a call is estimated to cost whose price is not known."""
    ledger_life: Annotated[float, Meta(ge=1, le=3_650)] = LEDGER_LIFE / 86_400
    """For how many days the records of the ledger are kept."""
    max_kept: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """The most MiB of one client's responses that are stored. 0: a quarter of those of all."""
    max_kept_total: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """0: a quarter of what Redis may take."""
    keep_alive: Annotated[float, Meta(ge=1, le=300)] = 10.0
    """The longest silence in a stream before a comment breaks it."""
    drain_timeout: Annotated[float, Meta(ge=1, le=3_600)] = 100.0

    @property
    def needs_key(self) -> bool:
        """Whether a key is needed whatever is in Redis."""
        return bool(self.access_tokens) or self.require_key

    @property
    def any_bot(self) -> bool:
        """Whether a model that `bot` does not list is passed on under its own name."""
        return not self.bot if self.allow_any_bot is None else self.allow_any_bot

    def __repr__(self) -> str:
        # The Redis URL may hold a password.
        return f"GatewayConfig({self.host}:{self.port}, {len(self.access_tokens)} access tokens)"


class _Entry(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An entry of `accessTokens` that is a table; one that is a string is its `key`."""

    key: str
    name: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    weight: Annotated[float, Meta(ge=0.01, le=1_000)] = 1.0
    max_concurrent: _Count | None = None
    rate_limit: _Count | None = None
    models: tuple[str, ...] = ()
    expires: datetime.date | None = None
    group: Annotated[str, Meta(max_length=100)] = ""
    day_budget: Points | None = None
    week_budget: Points | None = None
    month_budget: Points | None = None
    total_budget: Points | None = None
    time_zone: Annotated[str, Meta(min_length=1, max_length=64)] = "UTC"


def gateway_config(settings: Settings) -> tuple[GatewayConfig, list[str]]:
    """Validate a gateway's part of the settings, and resolve its secrets.

    Without access tokens the gateway listens on this machine only, unless `host` is set: a
    server without keys must not be open to everyone by oversight.

    Returns the configuration, and warnings for the operator. Raises ConfigError.
    """
    read = settings.struct(GatewayConfig, but=["accessTokens", "models"])
    where = settings.where(("redisUrl",))
    url = config.secrets(read.redis_url, where)[0]
    key = config.fingerprint_key(settings, read.fingerprint_key)
    if "host" in settings.values:
        _check_host(read.host, settings)
    tokens, warnings = _access_tokens(settings, key)
    closed = bool(tokens) or read.require_key
    if not closed and "host" not in settings.values:
        warnings.append(
            f"no access token is configured, so only this machine can connect ({read.host}); "
            "set accessTokens (-sk), or host (--host 0.0.0.0) to serve everyone without one"
        )
    return msgspec.structs.replace(
        read,
        access_tokens=tokens,
        # The clients have their names now.
        fingerprint_key="",
        allowed_hosts=tuple(host.lower() for host in read.allowed_hosts),
        trusted_proxies=_networks(settings, read.trusted_proxies),
        models=settings.tables_of(ModelSettings, "models"),
        host=settings.values.get("host", "0.0.0.0" if closed else read.host),  # noqa: S104
        redis_url=address.checked(url, where),
    ), warnings


def _networks(settings: Settings, networks: tuple[str, ...]) -> tuple[str, ...]:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            raise ConfigError(f"{settings.where(('trustedProxies',))}: {error}") from None
    return networks


def access_token(key: str, name: str | None = None, fingerprint_key: str = "") -> AccessToken:
    """Return the record of one key. The key cannot be derived from it."""
    client = config.fingerprint(key, b"p2g-client", fingerprint_key)
    digest = hashlib.sha256(key.encode()).digest()
    return AccessToken(digest, client, name or f"client-{client[:6]}")


def _access_tokens(settings: Settings, key: str) -> tuple[tuple[AccessToken, ...], list[str]]:
    tokens: dict[bytes, AccessToken] = {}
    told: list[tuple[object, str]] = []
    for number, entry in enumerate(settings.list_of(_Entry, "accessTokens")):
        where = settings.where(("accessTokens", number))
        table = _Entry(entry) if isinstance(entry, str) else entry
        _check_entry(table, where)
        for secret, token in _of(table, where, key):
            if is_weak(secret):
                told.append((where, f"{token.name} can be guessed; {_HOW_TO_MAKE_A_KEY}"))
            if token.digest in tokens:
                told.append((where, f"{token.name} is listed twice; the first entry counts"))
            tokens.setdefault(token.digest, token)
    return tuple(tokens.values()), config.warnings_of(told)


def _check_entry(entry: _Entry, where: object) -> None:
    if not is_plain(entry.group):
        raise ConfigError(f"{where}.group: {PLAIN}")
    if time_zones.time_zone(entry.time_zone) is None:
        raise ConfigError(f"{where}.timeZone = {entry.time_zone!r}: {time_zones.EXPECTED}")


def is_weak(key: str) -> bool:
    """Return whether a key may be found by trying: fewer than about 60 bits, at best."""
    return len(key) * math.log2(len(set(key))) < _STRONG


def _of(entry: _Entry, where: object, fingerprint_key: str) -> list[tuple[str, AccessToken]]:
    keys = config.secrets(entry.key, where)
    return [
        (
            key,
            msgspec.structs.replace(
                access_token(key, entry.name, fingerprint_key),
                weight=entry.weight,
                max_concurrent=entry.max_concurrent,
                rate_limit=entry.rate_limit,
                models=entry.models,
                expires=None if entry.expires is None else _end_of(entry.expires),
                group=entry.group,
                day_budget=entry.day_budget,
                week_budget=entry.week_budget,
                month_budget=entry.month_budget,
                total_budget=entry.total_budget,
                time_zone=entry.time_zone,
            ),
        )
        for key in keys
    ]


def _check_host(host: str, settings: Settings) -> None:
    try:
        addresses(host)
    except ValueError as error:
        raise ConfigError(f"{settings.where(('host',))} = {host!r}: {error}") from None


def _end_of(day: datetime.date) -> float:
    if day == datetime.date.max:  # there is no day after it
        return math.inf
    midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
    return (midnight + datetime.timedelta(days=1)).timestamp()
