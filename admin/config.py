"""The settings of the admin service. None of them can hold a Poe token or an access token."""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec
from msgspec import Meta

from contract import config
from contract.config import ConfigError, Settings
from contract.keys import PREFIX
from store import address

SHORTEST_TOKEN = 24
"""Characters of a login token, so that nobody finds it by trying."""


class AdminConfig(msgspec.Struct, frozen=True, rename="camel"):
    """All settings of the admin service."""

    redis_url: str = config.REDIS_URL
    key_prefix: config.KeyPrefix = PREFIX
    admin_host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    admin_port: Annotated[int, Meta(ge=1, le=65_535)] = 3701
    gateway_url: str = "http://127.0.0.1:3700"
    """Where a model that is tried is asked."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that the service answers to, beside `localhost` and all addresses."""
    admin_token: str = ""
    """The SHA-256 of the login token, in hex."""

    def __repr__(self) -> str:
        # The Redis URL may hold a password.
        return f"AdminConfig({self.admin_host}:{self.admin_port})"


def admin_config(settings: Settings) -> AdminConfig:
    """Validate the admin service's part of the settings. Raises ConfigError."""
    read = settings.struct(AdminConfig)
    where = settings.where(("redisUrl",))
    return msgspec.structs.replace(
        read,
        redis_url=address.checked(config.secrets(read.redis_url, where)[0], where),
        gateway_url=_gateway_url(settings, read.gateway_url),
        allowed_hosts=tuple(host.lower() for host in read.allowed_hosts),
        admin_token=_digest(settings, read.admin_token) if read.admin_token else "",
    )


def _gateway_url(settings: Settings, url: str) -> str:
    where = settings.where(("gatewayUrl",))
    return config.checked_url(url, ["http", "https"], where).removesuffix("/v1")


def digest_of(token: str) -> str:
    """Return the digest by which a login token is known."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def _digest(settings: Settings, reference: str) -> str:
    where = settings.where(("adminToken",))
    token = config.secrets(reference, where)[0]
    if len(token) < SHORTEST_TOKEN:
        raise ConfigError(f"{where}: is too short; make one with `openssl rand -hex 24`")
    return digest_of(token)
