"""Merges settings from the configuration file, the environment and the command line."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from admin.config import AdminConfig
from contract.config import (
    ConfigError,
    File,
    Given,
    Settings,
    keys_of,
    read_toml,
    unknown_key,
)
from contract.texts import listed, listed_hosts, unquoted
from gateway.config import GatewayConfig
from poe2gpt.flags import Flags, number
from worker.config import WorkerConfig

_KNOWN = list(dict.fromkeys(keys_of(GatewayConfig) + keys_of(WorkerConfig) + keys_of(AdminConfig)))

_VARIABLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "POE_TOKENS": ("tokens", listed),
    "ACCESS_TOKENS": ("accessTokens", listed),
    "PORT": ("port", number),
    # Not HOST: tcsh sets it to the machine's name, and conda to its platform.
    "POE2GPT_HOST": ("host", str),
    "ALLOWED_HOSTS": ("allowedHosts", listed_hosts),
    "TRUSTED_PROXIES": ("trustedProxies", listed_hosts),
    "FINGERPRINT_KEY": ("fingerprintKey", str),
    "TOKEN_KEY": ("tokenKey", str),
    "ADMIN_TOKEN": ("adminToken", str),
    "ADMIN_HOST": ("adminHost", str),
    "ADMIN_PORT": ("adminPort", number),
    "GATEWAY_URL": ("gatewayUrl", str),
    "REDIS_URL": ("redisUrl", str),
    "KEY_PREFIX": ("keyPrefix", str),
    "POE_URL": ("poeUrl", str),
    "POE_UPLOAD_URL": ("uploadUrl", str),
}
SECRET_VARIABLES = frozenset(
    {"POE_TOKENS", "ACCESS_TOKENS", "REDIS_URL", "FINGERPRINT_KEY", "TOKEN_KEY", "ADMIN_TOKEN"}
)


def variables_of(keys: Collection[str]) -> set[str]:
    """Name the environment variables that set one of these settings."""
    return {name for name, (key, _) in _VARIABLES.items() if key in keys}


def settings(flags: Flags, environment: Mapping[str, str]) -> tuple[Settings, str]:
    """Merge all sources. Returns the settings, and the file's name or "no file".

    Raises ConfigError for an unreadable file and for unknown keys.
    """
    path = _config_path(flags, environment)
    file = File("no file", "", {}) if path is None else read_toml(path)
    _check_keys(file)
    return Settings(file, _from(environment), flags.given), str(path or "no file")


def ignored_host(environment: Mapping[str, str], settings: Settings) -> list[str]:
    """Warn if HOST holds an address: it looks like a setting, but only POE2GPT_HOST is one."""
    host = environment.get("HOST", "")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return []
    if "host" in settings.values:
        return []
    return [f"HOST is ignored; to listen on {host}, set POE2GPT_HOST"]


def check_key_log(environment: Mapping[str, str]) -> None:
    """Raise ConfigError if SSLKEYLOGFILE, which Python's TLS heeds, names no file to write to."""
    try:
        if path := environment.get("SSLKEYLOGFILE"):
            Path(path).open("a", encoding="ascii").close()
    except OSError as error:
        raise ConfigError(f"`SSLKEYLOGFILE`: cannot be written: {error.strerror}") from None


def _config_path(flags: Flags, environment: Mapping[str, str]) -> Path | None:
    if named := flags.config or _read("POE2GPT_CONFIG", environment, str):
        return Path(str(named))
    path = Path("config.toml")
    # A directory counts too, and fails as unreadable: Compose creates one where a file to
    # mount is missing.
    return path if os.path.lexists(path) else None


def _from(environment: Mapping[str, str]) -> Given:
    # Compose passes unset variables on as empty ones.
    found = {name: _read(name, environment, _VARIABLES[name][1]) for name in _VARIABLES}
    given = {name: value for name, value in found.items() if value not in ("", [])}
    return Given(
        {_VARIABLES[name][0]: value for name, value in given.items()},
        {_VARIABLES[name][0]: name for name in given},
    )


def _read(name: str, environment: Mapping[str, str], read: Callable[[str], object]) -> object:
    """Parse a variable. Raises ConfigError, naming the variable, if it is invalid."""
    text = environment.get(name, "")
    try:
        text.encode()
        return read(text if read in {listed, listed_hosts} else unquoted(text))
    except UnicodeEncodeError:
        raise ConfigError(f"`{name}`: is not UTF-8") from None
    except ValueError as error:
        raise ConfigError(f"`{name}`: {error}") from None


def _check_keys(file: File) -> None:
    for key in file.values:
        if key not in _KNOWN:
            raise unknown_key(file.where((key,)), key, _KNOWN)
    bot = file.values.get("bot")
    for model, name in bot.items() if isinstance(bot, dict) else ():
        if model in _KNOWN:
            raise ConfigError(
                f"{file.where(('bot', model))}: a setting below `[bot]` is taken for a model; "
                f"move `{model}` above `[bot]`"
            )
        if isinstance(name, dict):
            raise ConfigError(
                f"{file.where(('bot', model))}: a model name with a dot needs quotes: "
                f'"{model}.{next(iter(name), "")}" = "…"'
            )
