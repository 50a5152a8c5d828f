"""The settings of a worker: its Poe tokens, their limits, and where Poe is."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from contract import config
from contract.config import ConfigError, ModelSettings, Settings
from contract.keys import PREFIX
from store import address

_ENDPOINT = re.compile(
    r"(?:/v1)*(?:/chat/completions|/completions|/responses|/messages|/models|/bot(?:/[^/]*)?)?/*$",
    re.ASCII | re.IGNORECASE,
)
"""What a worker appends to `poeUrl`, and what people therefore copy into it."""

_Seconds = Annotated[float, Meta(gt=0, le=86_400)]
_RateLimit = Annotated[int, Meta(ge=1, le=10_000)]
_CoolDown = Annotated[float, Meta(ge=0, le=3_600)]
_MaxInFlight = Annotated[int, Meta(ge=1, le=1_000)]

SHORTEST_KEY = 32
"""Characters of a `tokenKey`."""


class PoeToken(msgspec.Struct, frozen=True):
    """One Poe API key, and how fast it may be used."""

    id: str
    """The secret's fingerprint: its name in Redis."""
    label: str
    """Its name for people."""
    account: str
    """The fingerprint of its account: all tokens of one account share its limits."""
    secret: str
    rate_limit: int = 60
    """The most calls that start in any 60 seconds."""
    cool_down: float = 3.0
    """The least time between two starts, in seconds."""
    max_in_flight: int = 10

    def __repr__(self) -> str:
        return f"PoeToken({self.label})"


FIXED = (
    *("redis_url", "key_prefix", "fingerprint_key", "token_key", "poe_url", "upload_url", "proxy"),
    *("timeout", "answer_timeout", "connect_timeout", "lease_life", "max_attempts"),
    *("drain_timeout", "reconcile_every"),
)
"""The settings that a running worker cannot change."""


class WorkerConfig(msgspec.Struct, frozen=True, rename="camel"):
    """All settings of a worker. Times are in seconds."""

    redis_url: str = config.REDIS_URL
    key_prefix: config.KeyPrefix = PREFIX
    """What the names of all keys and channels in Redis begin with."""
    fingerprint_key: str = ""
    """The key of the fingerprints that name tokens in Redis. Empty: anyone can compute them.

    Once the tokens have their names, it is kept only if others may be added at run time."""
    token_key: str = ""
    """The key under which Poe tokens are kept in Redis. Empty: none are."""
    rate_limit: _RateLimit = 60
    """This limit and the next two are those of every token that has none of its own."""
    cool_down: _CoolDown = 3.0
    max_in_flight: _MaxInFlight = 10
    poe_url: str = "https://api.poe.com"
    upload_url: str | None = None
    """Where attachments are uploaded to. None: where Poe takes them, or what `poe_url` names."""
    tokens: tuple[PoeToken, ...] = ()
    timeout: _Seconds = 180.0
    """The longest silence of the upstream, before an answer or within it."""
    answer_timeout: _Seconds = 3_600.0
    """The longest that a whole answer may take, even if its stream never falls silent."""
    connect_timeout: Annotated[float, Meta(gt=0, le=300)] = 10.0
    proxy: str | None = None
    budget_webhook: str = ""
    """The URL that is told when 80 % and 100 % of a budget are spent. Empty: only the log is."""
    simulate_roles: Literal[0, 1, 2] = 0
    use_responses: bool = True
    """Whether models are asked over Poe's Responses API where it carries more."""
    models: dict[str, ModelSettings] = {}
    """By the upstream's names for them, folded to one case."""
    lease_life: Annotated[float, Meta(ge=1, le=300)] = 6.0
    max_attempts: Annotated[int, Meta(ge=1, le=10)] = 2
    drain_timeout: Annotated[float, Meta(ge=1, le=3_600)] = 100.0
    reconcile_every: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    """The least time between two looks into an account's points history. 0: there are none."""

    @property
    def unused_upstreams(self) -> frozenset[str]:
        """The upstreams that are asked only where a model's settings say so."""
        return frozenset() if self.use_responses else frozenset({"responses"})

    def __repr__(self) -> str:
        # The URLs of Redis and of the proxy may hold passwords.
        return f"WorkerConfig({self.poe_url}, {len(self.tokens)} tokens)"


class Entry(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An entry of `tokens` that is a table; one that is a string is its `token`."""

    token: str
    account: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    rate_limit: _RateLimit | None = None
    cool_down: _CoolDown | None = None
    max_in_flight: _MaxInFlight | None = None


def worker_config(settings: Settings) -> tuple[WorkerConfig, list[str]]:
    """Validate a worker's part of the settings, and resolve its secrets.

    Returns the configuration and what the operator should be warned of. Raises ConfigError.
    """
    read = settings.struct(WorkerConfig, but=["tokens", "models"])
    read = msgspec.structs.replace(
        read,
        fingerprint_key=config.fingerprint_key(settings, read.fingerprint_key),
        token_key=_token_key(settings, read.token_key),
    )
    tokens, warnings = _tokens(settings, read)
    return msgspec.structs.replace(
        read,
        tokens=tokens,
        fingerprint_key=read.fingerprint_key if read.token_key else "",
        models=settings.tables_of(ModelSettings, "models"),
        redis_url=_redis_url(settings, read.redis_url),
        poe_url=_ENDPOINT.sub("", _url(settings, "poeUrl", read.poe_url, ["https", "http"])),
        upload_url=_url(settings, "uploadUrl", read.upload_url, ["https", "http"])
        if read.upload_url
        else None,
        proxy=_url(settings, "proxy", read.proxy, ["http", "https"]) if read.proxy else None,
        budget_webhook=_webhook(settings, read.budget_webhook) if read.budget_webhook else "",
    ), warnings


def _redis_url(settings: Settings, reference: str) -> str:
    where = settings.where(("redisUrl",))
    return address.checked(config.secrets(reference, where)[0], where)


def _url(settings: Settings, key: str, reference: str, schemes: list[str]) -> str:
    where = settings.where((key,))
    return config.checked_url(config.secrets(reference, where)[0], schemes, where)


def _webhook(settings: Settings, reference: str) -> str:
    where = settings.where(("budgetWebhook",))
    url = config.secrets(reference, where)[0]
    # Some have their secret in a query.
    config.checked_url(url.partition("?")[0], ["https", "http"], where)
    return url


def _token_key(settings: Settings, reference: str) -> str:
    where = settings.where(("tokenKey",))
    key = config.secrets(reference, where)[0] if reference else ""
    if key and len(key) < SHORTEST_KEY:
        raise ConfigError(f"{where}: is too short; make one with `openssl rand -hex 32`")
    return key


def _tokens(settings: Settings, limits: WorkerConfig) -> tuple[tuple[PoeToken, ...], list[str]]:
    tokens: dict[str, PoeToken] = {}
    twice: list[tuple[object, str]] = []
    for number, entry in enumerate(settings.list_of(Entry, "tokens")):
        where = settings.where(("tokens", number))
        table = Entry(entry) if isinstance(entry, str) else entry
        for secret in config.secrets(table.token, where):
            token = token_of(secret, table, limits)
            if (same := tokens.get(token.id)) is not None:
                twice.append((where, f"{token.label} is listed twice and counts once"))
                token = _merged(same, token, where)
            tokens[token.id] = token
    agreed = agreed_tokens(list(tokens.values()))
    disagree = _disagreements(list(tokens.values()), agreed)
    return agreed, config.warnings_of(twice) + config.warnings_of(disagree)


def token_of(secret: str, entry: Entry, limits: WorkerConfig) -> PoeToken:
    """Return a token; it has the limits of all where `entry` has none. Its `token` is not read."""
    key = limits.fingerprint_key
    fingerprint = config.fingerprint(secret, b"p2g-token", key)
    of_account = config.fingerprint(entry.account or "", b"p2g-account", key)
    return PoeToken(
        id=fingerprint,
        label=f"{entry.account or 'token'}-{fingerprint[:6]}",
        account=of_account if entry.account else fingerprint,
        secret=secret,
        rate_limit=limits.rate_limit if entry.rate_limit is None else entry.rate_limit,
        cool_down=limits.cool_down if entry.cool_down is None else entry.cool_down,
        max_in_flight=limits.max_in_flight if entry.max_in_flight is None else entry.max_in_flight,
    )


def _merged(first: PoeToken, second: PoeToken, where: object) -> PoeToken:
    named = [token for token in (first, second) if token.account != token.id] or [first]
    if len({token.account for token in named}) > 1:
        raise ConfigError(f"{where}: the same token is also listed under another account")
    return _stricter(named[0], second if named[0] is first else first)


def _stricter(token: PoeToken, other: PoeToken) -> PoeToken:
    return msgspec.structs.replace(
        token,
        rate_limit=min(token.rate_limit, other.rate_limit),
        cool_down=max(token.cool_down, other.cool_down),
        max_in_flight=min(token.max_in_flight, other.max_in_flight),
    )


def agreed_tokens(tokens: list[PoeToken]) -> tuple[PoeToken, ...]:
    """Give all tokens of an account the strictest of their limits, since they share them."""
    by_account: dict[str, PoeToken] = {}
    for token in tokens:
        by_account[token.account] = _stricter(by_account.get(token.account, token), token)
    return tuple(_stricter(token, by_account[token.account]) for token in tokens)


def _disagreements(
    tokens: list[PoeToken], agreed: tuple[PoeToken, ...]
) -> list[tuple[object, str]]:
    return [
        (
            token.label,
            "its account's other tokens have stricter limits, which now hold for it: "
            f"rateLimit {strict.rate_limit}, coolDown {strict.cool_down:g}, "
            f"maxInFlight {strict.max_in_flight}",
        )
        for token, strict in zip(tokens, agreed, strict=True)
        if token != strict
    ]
