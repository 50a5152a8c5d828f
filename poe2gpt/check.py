"""Looks whether everything is as it should be, and says what is not."""

from __future__ import annotations

import asyncio
import datetime
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from redis.exceptions import RedisError, ResponseError

from contract.config import Settings
from contract.keys import Keys
from gateway.config import gateway_config
from poe2gpt import embedded
from poe2gpt.become import with_tokens
from poe2gpt.serve import NO_REDIS, unreachable, without_password
from poe2gpt.terminal import Trouble
from worker.config import PoeToken, WorkerConfig
from worker.poe.client import PoeClient
from worker.poe.faults import Fault, FaultKind
from worker.policy.leases import deal

_AT_ONCE = 8
"""Tokens looked at at a time: enough to be quick, and no burst for Poe."""
_STATES = {
    FaultKind.BAD_KEY: "refused: the key is wrong or revoked",
    FaultKind.NO_POINTS: "no points",
    FaultKind.RATE_LIMITED: "rate limited",
}
_NO_WAY = (FaultKind.UNREACHABLE, FaultKind.TIMEOUT, FaultKind.CUT)
_PROXIES = {"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"}
_CERTIFICATES = {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"}


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    subject: str
    text: str
    well: bool = True


class Balance(msgspec.Struct, frozen=True):
    """What Poe tells of an account's points. Times are in microseconds."""

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
    """Print what was found; the status is 0 only if all is well. Calls cost no points.

    Raises ConfigError for a configuration that nothing would start with.
    """
    _, open_warnings = gateway_config(settings)
    worker, token_warnings = with_tokens(settings)
    _print([Finding("config", f"{file}: ok")])
    hints = (*open_warnings, *token_warnings, *unheeded(os.environ, worker.proxy))
    _print([Finding("hint", text) for text in hints])
    return asyncio.run(_check(worker, own_redis="redisUrl" not in settings.values))


async def _check(worker: WorkerConfig, own_redis: bool) -> int:
    redis = _own_redis() if own_redis else await _given_redis(worker)
    _print(redis)
    states = await token_states(worker)
    if not own_redis:
        states = with_verdicts(states, await _verdicts(worker))
    print(table(states))
    well = all(finding.well for finding in redis) and all(state.well for state in states)
    return 0 if well else 1


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        print(f"{finding.subject:8}{finding.text}", flush=True)


def _own_redis() -> list[Finding]:
    try:
        path = embedded.find_server()
    except Trouble as error:
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
        told = {key: str(value) for key, value in info.items()}
        return redis_findings(without_password(url), told, policy) + dead_findings(dead)
    except (RedisError, OSError, *NO_REDIS) as error:
        return [Finding("redis", unreachable(url, error), well=False)]


async def _eviction(client: embedded.Client) -> str:
    try:
        policy = await client.config_get("maxmemory-policy")
    except ResponseError:
        return ""  # hosted ones often hide their configuration
    return policy.get("maxmemory-policy") or ""


def redis_findings(place: str, info: dict[str, str], policy: str) -> list[Finding]:
    """Judge a Redis by its INFO and its eviction policy; an empty policy is unknown."""
    # Valkey tells 7.2.4 for those who ask for Redis' version, whatever its own.
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
        findings.append(Finding("redis", "it is full: maxmemory is reached", well=False))
    if info.get("aof_enabled") == "0":
        findings.append(Finding("hint", "appendonly is no: a restart of Redis loses the queue"))
    return findings


def dead_findings(dead: Sequence[str]) -> list[Finding]:
    """Tell of requests that were given up because the workers that began them died."""
    if not dead:
        return []
    job, at = dead[0].split()
    last = datetime.datetime.fromtimestamp(float(at) / 1000, datetime.UTC)
    text = (
        f"{len(dead)} requests have killed their workers, last {job} at {last:%Y-%m-%d %H:%M} UTC"
    )
    return [Finding("hint", f"{text}; the workers' logs say more")]


async def _verdicts(worker: WorkerConfig) -> list[str]:
    """Tell what the workers hold against each token, or nothing where Redis does not answer."""
    keys = Keys(worker.key_prefix)
    try:
        async with embedded.connect(worker.redis_url) as client:
            seconds, micros = await client.time()
            (offset,) = await client.hmget(keys.clock, ["offset"])
            now = seconds * 1000 + micros // 1000 + int(offset or 0)
            # Where no worker runs, it is no news that none owns a token.
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
    parked, reason = await client.hmget(keys.token(token.id), ["until", "reason"])
    if (wait := float(parked or 0) - now) > 0:
        return f"set aside for {_duration(wait)}: {reason!s}"
    (rests,) = await client.hmget(keys.token(token.account), ["rests"])
    if (wait := float(rests or 0) - now) > 0:
        return f"rests for {_duration(wait)}: rate limited"
    if batch is not None:
        (expires,) = await client.hmget(keys.lease(batch), ["expires"])
        if float(expires or 0) <= now:
            return "no worker owns it: do those that run know it?"
    return ""


def _duration(milliseconds: float) -> str:
    seconds = math.ceil(milliseconds / 1000)
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def with_verdicts(states: list[TokenState], verdicts: list[str]) -> list[TokenState]:
    """Put what the workers know in the place of an "ok" that only the balance gave."""
    return [
        msgspec.structs.replace(state, state=verdict) if state.well and verdict else state
        for state, verdict in zip(states, verdicts, strict=True)
    ]


async def token_states(worker: WorkerConfig) -> list[TokenState]:
    """Ask Poe for every token's balance, by the same connections as a worker."""
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
        return judged(token.label, await poe.account(token.secret))
    except Fault as fault:
        return TokenState(token.label, state_of(fault))


def state_of(fault: Fault) -> str:
    """Say why Poe did not tell a token's balance."""
    if fault.kind in _STATES:
        return _STATES[fault.kind]
    # What could not even be sent is a URL that is none.
    if fault.kind in _NO_WAY or (fault.kind is FaultKind.BAD_REQUEST and fault.__cause__):
        return f"Poe cannot be reached ({_reason(fault)})"
    return f"Poe does not tell: {fault.message}"


def _reason(fault: Fault) -> str:
    """Name what stood in the way; of a library's words only the type, for they may hold a URL."""
    cause = fault.__cause__
    if "CERTIFICATE_VERIFY_FAILED" in str(cause):
        return "its certificate is signed by nobody whom certifi trusts"
    return type(cause).__name__ if cause else fault.kind.name.lower()


def unheeded(environment: Mapping[str, str], proxy: str | None) -> list[str]:
    """Tell which variables lead other programs to Poe, and workers not."""
    set_ = {name for name, value in environment.items() if value}
    proxies = sorted(name for name in set_ if name.upper() in _PROXIES)
    hints = []
    if proxies and proxy is None:
        names = ", ".join(proxies)
        hints.append(f"workers do not heed {names}: to go through a proxy, set `proxy`")
    if certificates := ", ".join(sorted(set_ & _CERTIFICATES)):
        hints.append(f"workers do not heed {certificates}: whom they trust is in certifi")
    return hints


def judged(label: str, body: bytes) -> TokenState:
    """Tell a token's state from Poe's answer to the question for its balance."""
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
    """Lay the states out in columns, points to the right."""
    rows = [("TOKEN", "STATE", "POINTS", "NEXT GRANT")]
    rows += [(each.label, each.state, each.points, each.grant) for each in states]
    label, state, points = (max(len(row[column]) for row in rows) for column in range(3))
    return "\n".join(
        f"{row[0]:{label}}  {row[1]:{state}}  {row[2]:>{points}}  {row[3]}".rstrip() for row in rows
    )
