"""Checks the configuration, Redis and every token, and reports what is wrong."""

from __future__ import annotations

import asyncio
import datetime
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from redis.exceptions import RedisError, ResponseError

from admin.config import admin_config
from contract.config import Settings
from contract.keys import Keys
from gateway.config import gateway_config
from poe2gpt import embedded
from poe2gpt.become import with_tokens
from poe2gpt.known_tokens import Others, read_others, with_added
from poe2gpt.serve import NO_REDIS, unreachable, without_password
from poe2gpt.terminal import CommandError, say
from worker.config import PoeToken, WorkerConfig
from worker.poe.client import PoeClient
from worker.poe.faults import Fault, FaultKind
from worker.policy.leases import deal

_AT_ONCE = 8
"""Tokens checked at a time: quick, without a burst of requests to Poe."""
_STATES = {
    FaultKind.BAD_KEY: "refused: the key is wrong or revoked",
    FaultKind.NO_POINTS: "no points",
    FaultKind.RATE_LIMITED: "rate limited",
}
_SEALED = "cannot be decrypted: set tokenKey to the one under which it was added"
_NO_WAY = (FaultKind.UNREACHABLE, FaultKind.TIMEOUT, FaultKind.CUT)
_PROXIES = {"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"}
_CERTIFICATES = {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"}


class Finding(msgspec.Struct, frozen=True):
    """The result of one check."""

    subject: str
    text: str
    well: bool = True


class Balance(msgspec.Struct, frozen=True):
    """An account's points, as Poe reports them. Times are Unix times in microseconds."""

    current_point_balance: int
    next_daily_grant_time: int | None = None
    next_daily_grant_amount: int | None = None
    next_monthly_grant_time: int | None = None
    next_monthly_grant_amount: int | None = None


class TokenState(msgspec.Struct, frozen=True):
    """One row of the table."""

    label: str
    state: str
    points: str = ""
    grant: str = ""

    @property
    def well(self) -> bool:
        return self.state == "ok"


def check(settings: Settings, file: str) -> int:
    """Print the findings, and return 0 if all is well, else 1. Costs no points.

    Raises ConfigError for a mistake in any part of the configuration.
    """
    _, open_warnings = gateway_config(settings)
    worker, token_warnings = with_tokens(settings)
    admin_config(settings)
    _print([Finding("config", f"{file}: ok")])
    hints = (*open_warnings, *token_warnings, *ignored_variables(os.environ, worker.proxy))
    _print([Finding("hint", text) for text in hints])
    return asyncio.run(_check(worker, own_redis="redisUrl" not in settings.values))


async def _check(worker: WorkerConfig, own_redis: bool) -> int:
    redis = _own_redis() if own_redis else await _given_redis(worker)
    _print(redis)
    others = Others() if own_redis else await read_others(worker)
    tokens, sealed = with_added(worker, others.added)
    all_ = msgspec.structs.replace(worker, tokens=tokens)
    states = await token_states(all_)
    if not own_redis:
        states = with_verdicts(states, await _verdicts(all_))
    states += [TokenState(label, _SEALED) for label in sealed]
    if states:
        print(table(states), flush=True)
    if unchecked := unchecked_tokens(len(states), others.used):
        say(unchecked)
    well = all(finding.well for finding in redis) and all(state.well for state in states)
    # Workers may differ in their tokens, so that some are missing here is a fault only without any.
    return 0 if well and (worker.tokens or not unchecked) else 1


def unchecked_tokens(checked: int, used: int) -> str:
    """Say which tokens could not be checked: workers use `used` more. Empty: all were."""
    if used:
        return (
            f"workers use {used} Poe token{'s' * (used != 1)} that this configuration does not"
            " have: to check them, pass the service's -t or --config"
        )
    return (
        "" if checked else "no Poe token in this configuration: pass the service's -t or --config"
    )


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        print(f"{finding.subject:8}{finding.text}", flush=True)


def _own_redis() -> list[Finding]:
    try:
        path = embedded.find_server()
    except CommandError as error:
        return [Finding("redis", str(error), well=False)]
    major, minor = embedded.server_version(path)
    return [Finding("redis", f"none given; serve starts {path} ({major}.{minor})")]


async def _given_redis(worker: WorkerConfig) -> list[Finding]:
    url = worker.redis_url
    try:
        async with embedded.connect(url) as client:
            info = await client.info()
            policy = await _eviction(client)
            dead: Any = await client.lrange(Keys(worker.key_prefix).dead, 0, -1)
        fields = {key: str(value) for key, value in info.items()}
        return redis_findings(without_password(url), fields, policy) + dead_findings(dead)
    except (RedisError, OSError, *NO_REDIS) as error:
        return [Finding("redis", unreachable(url, error), well=False)]


async def _eviction(client: embedded.Client) -> str:
    try:
        policy = await client.config_get("maxmemory-policy")
    except ResponseError:
        return ""  # hosted servers often disable CONFIG
    return policy.get("maxmemory-policy") or ""


def redis_findings(place: str, info: dict[str, str], policy: str) -> list[Finding]:
    """Check a server's INFO and its eviction policy; an empty policy is unknown."""
    # Valkey always reports 7.2.4 as its redis_version.
    version = info.get("redis_version", "0")
    shown = info.get("valkey_version", version)
    old = tuple(int(part) for part in version.split(".")[:2]) < embedded.OLDEST
    findings = [
        Finding("redis", f"{place}: {shown}{', too old: 7.0 is needed' if old else ''}", not old)
    ]
    if policy not in ("", "noeviction"):
        findings.append(
            Finding("redis", f"maxmemory-policy is {policy}: jobs could vanish", well=False)
        )
    if 0 < int(info.get("maxmemory", "0")) <= int(info.get("used_memory", "0")):
        findings.append(Finding("redis", "is full: maxmemory is reached", well=False))
    if info.get("aof_enabled") == "0":
        findings.append(Finding("hint", "appendonly is off: a restart of Redis loses the queue"))
    return findings


def dead_findings(dead: Sequence[str]) -> list[Finding]:
    """Report requests that were abandoned because every worker that ran them died."""
    if not dead:
        return []
    job, at = dead[0].split()
    last = datetime.datetime.fromtimestamp(float(at) / 1000, datetime.UTC)
    text = (
        f"{len(dead)} requests have killed their workers, most recently {job} at "
        f"{last:%Y-%m-%d %H:%M} UTC"
    )
    return [Finding("hint", f"{text}; see the workers' logs")]


async def _verdicts(worker: WorkerConfig) -> list[str]:
    """Return why the workers do not use each token; "" if they do, or if Redis is unreachable."""
    keys = Keys(worker.key_prefix)
    try:
        async with embedded.connect(worker.redis_url) as client:
            seconds, micros = await client.time()
            (offset,) = await client.hmget(keys.clock, ["offset"])
            now = seconds * 1000 + micros // 1000 + int(offset or 0)
            # An unowned token is worth reporting only while workers run.
            running = await client.zcount(keys.workers, f"({now}", "+inf")
            batches = deal(token.account for token in worker.tokens) if running else {}
            return [
                await _verdict(client, keys, token, batches.get(token.account), now)
                for token in worker.tokens
            ]
    except (RedisError, OSError, *NO_REDIS):
        return [""] * len(worker.tokens)


async def _verdict(
    client: embedded.Client, keys: Keys, token: PoeToken, batch: str | None, now: int
) -> str:
    parked, reason, held = await client.hmget(keys.token(token.id), ["until", "reason", "held"])
    if held and float(held) > now:
        return "parked by `poe2gpt tokens park`"
    if (wait := float(parked or 0) - now) > 0:
        return f"set aside for {_duration(wait)}: {reason!s}"
    (rests,) = await client.hmget(keys.token(token.account), ["rests"])
    if (wait := float(rests or 0) - now) > 0:
        return f"rate limited for another {_duration(wait)}"
    if batch is not None:
        (expires,) = await client.hmget(keys.lease(batch), ["expires"])
        if float(expires or 0) <= now:
            return (
                "owned by no worker: is it in their configuration, or added under their tokenKey?"
            )
    return ""


def _duration(milliseconds: float) -> str:
    seconds = math.ceil(milliseconds / 1000)
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def with_verdicts(states: list[TokenState], verdicts: list[str]) -> list[TokenState]:
    """Replace an "ok", which is based on the balance alone, with what the workers know."""
    return [
        msgspec.structs.replace(state, state=verdict) if state.well and verdict else state
        for state, verdict in zip(states, verdicts, strict=True)
    ]


async def token_states(worker: WorkerConfig) -> list[TokenState]:
    """Ask Poe for every token's balance, with the same HTTP client as a worker."""
    limit = asyncio.Semaphore(_AT_ONCE)
    async with PoeClient(
        worker.poe_url,
        max_connections=_AT_ONCE,
        proxy=worker.proxy,
        connect_timeout=worker.connect_timeout,
        timeout=worker.connect_timeout,
    ) as poe:

        async def ask(token: PoeToken) -> TokenState:
            async with limit:
                return await _token_state(poe, token)

        return await asyncio.gather(*(ask(token) for token in worker.tokens))


async def _token_state(poe: PoeClient, token: PoeToken) -> TokenState:
    try:
        return token_state(token.label, await poe.account(token.secret))
    except Fault as fault:
        return TokenState(token.label, state_of(fault))


def state_of(fault: Fault) -> str:
    """Describe why Poe returned no balance for a token."""
    if fault.kind in _STATES:
        return _STATES[fault.kind]
    # A request that could not even be sent has an invalid URL.
    if fault.kind in _NO_WAY or (fault.kind is FaultKind.BAD_REQUEST and fault.__cause__):
        return f"Poe cannot be reached ({_reason(fault)})"
    return f"Poe returned no balance: {fault.message}"


def _reason(fault: Fault) -> str:
    """Name the obstacle. Of an exception only the type is shown: its text may hold a URL."""
    cause = fault.__cause__
    if "CERTIFICATE_VERIFY_FAILED" in str(cause):
        return "certifi does not trust the signer of its certificate"
    return type(cause).__name__ if cause else fault.kind.name.lower()


def ignored_variables(environment: Mapping[str, str], proxy: str | None) -> list[str]:
    """Name the environment variables that other programs use to reach Poe and workers ignore."""
    set_ = {name for name, value in environment.items() if value}
    proxies = sorted(name for name in set_ if name.upper() in _PROXIES)
    hints = []
    if proxies and proxy is None:
        names = ", ".join(proxies)
        hints.append(f"workers ignore {names}: to use a proxy, set `proxy` in config.toml")
    if certificates := ", ".join(sorted(set_ & _CERTIFICATES)):
        hints.append(f"workers ignore {certificates}: they trust certifi's certificates")
    return hints


def token_state(label: str, body: bytes) -> TokenState:
    """Return a token's state, given the body of Poe's response for its balance."""
    try:
        balance = msgspec.json.decode(body, type=Balance)
    except msgspec.DecodeError:
        return TokenState(label, "Poe's answer is not a balance")
    points = balance.current_point_balance
    return TokenState(label, "ok" if points > 0 else "no points", f"{points:,}", _grant(balance))


def _grant(balance: Balance) -> str:
    grants = [
        (balance.next_daily_grant_time, balance.next_daily_grant_amount),
        (balance.next_monthly_grant_time, balance.next_monthly_grant_amount),
    ]
    due = [(time, amount) for time, amount in grants if time and amount]
    if not due:
        return ""
    time, amount = min(due)
    at = datetime.datetime.fromtimestamp(time / 1e6, datetime.UTC)
    return f"{amount:,} at {at:%Y-%m-%d %H:%M} UTC"


def table(states: list[TokenState]) -> str:
    """Format the states as a table, with points aligned to the right."""
    rows = [("TOKEN", "STATE", "POINTS", "NEXT GRANT")]
    rows += [(each.label, each.state, each.points, each.grant) for each in states]
    label, state, points = (max(len(row[column]) for row in rows) for column in range(3))
    return "\n".join(
        f"{row[0]:{label}}  {row[1]:{state}}  {row[2]:>{points}}  {row[3]}".rstrip() for row in rows
    )
