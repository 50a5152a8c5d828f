"""Collects the settings from the file, the environment and the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from contract.config import (
    ConfigError,
    File,
    Given,
    Settings,
    keys_of,
    read_toml,
    unknown_key,
)
from gateway.config import GatewayConfig
from poe2gpt.flags import Flags, comma_list, number
from worker.config import Limits, WorkerConfig

_KNOWN = list(dict.fromkeys(keys_of(GatewayConfig) + keys_of(WorkerConfig) + keys_of(Limits)))

_VARIABLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "POE_TOKENS": ("tokens", comma_list),
    "ACCESS_TOKENS": ("accessTokens", comma_list),
    "PORT": ("port", number),
    "HOST": ("host", str),
    "ALLOWED_HOSTS": ("allowedHosts", comma_list),
    "TRUSTED_PROXIES": ("trustedProxies", comma_list),
    "FINGERPRINT_KEY": ("fingerprintKey", str),
    "REDIS_URL": ("redisUrl", str),
    "POE_URL": ("poeUrl", str),
    "POE_UPLOAD_URL": ("uploadUrl", str),
}
SECRET_VARIABLES = frozenset({"POE_TOKENS", "ACCESS_TOKENS", "REDIS_URL", "FINGERPRINT_KEY"})


def settings(flags: Flags, environment: Mapping[str, str]) -> tuple[Settings, str]:
    """Merge all sources, and tell the name of the file, or that there is none.

    Raises ConfigError for a file that cannot be read and for keys that nobody knows.
    """
    path = _config_path(flags, environment)
    file = File("no file", "", {}) if path is None else read_toml(path)
    _check_keys(file)
    return Settings(file, _from(environment), flags.given), str(path or "no file")


def _config_path(flags: Flags, environment: Mapping[str, str]) -> Path | None:
    if named := flags.config or environment.get("POE2GPT_CONFIG"):
        return Path(named)
    path = Path("config.toml")
    # A directory counts as well: Compose makes one of a file that it was to mount and missed.
    return path if path.exists() else None


def _from(environment: Mapping[str, str]) -> Given:
    # Compose files hand on variables that nobody has set, as empty ones.
    given = {name: text for name in _VARIABLES if (text := environment.get(name, "").strip())}
    return Given(
        {_VARIABLES[name][0]: _VARIABLES[name][1](text) for name, text in given.items()},
        {_VARIABLES[name][0]: name for name in given},
    )


def _check_keys(file: File) -> None:
    for key in file.values:
        if key not in _KNOWN:
            raise unknown_key(file.where((key,)), key, _KNOWN)
    bot = file.values.get("bot")
    for model, name in bot.items() if isinstance(bot, dict) else ():
        if model in _KNOWN:
            raise ConfigError(
                f"{file.where(('bot', model))}: a setting that follows `[bot]` belongs to it; "
                f"move `{model}` above `[bot]`"
            )
        if isinstance(name, dict):
            raise ConfigError(
                f"{file.where(('bot', model))}: a model with a dot needs quotes: "
                f'"{model}.{next(iter(name), "")}" = "…"'
            )
