"""Replaces this process with a gateway or a worker.

Imports little, because every start of a container waits for the imports.
"""

from __future__ import annotations

from typing import NoReturn

import msgspec

from admin.config import admin_config
from contract.config import ConfigError, Settings
from gateway.config import gateway_config
from poe2gpt.programs import BACKING, GATEWAY, WORKER, Program, become, environment_without, module
from poe2gpt.settings import SECRET_VARIABLES
from poe2gpt.terminal import say
from worker.config import WorkerConfig, worker_config

_HOW_TO_BEGIN = """\
no Poe token is given: use poe2gpt -t <a key from https://poe.com/api_key>, or set tokens in
config.toml (see config.example.toml); to try it without a key: poe2gpt demo"""

_NO_LOGIN = (
    "the admin service needs a login token: make one with `openssl rand -hex 24`, and set it as"
    " adminToken (ADMIN_TOKEN)"
)

_UNKEYED = (
    "no fingerprintKey is set, so whoever can read Redis can test guesses of access tokens; "
    "make one with `openssl rand -hex 32` and set it for all gateways and workers"
)


def become_gateway(settings: Settings, source: int) -> NoReturn:
    """Replace this process with a gateway. Settings of workers are not read.

    `source` is the descriptor of where its settings come from.
    """
    config, warnings = gateway_config(settings)
    if config.access_tokens and "fingerprintKey" not in settings.values:
        warnings.append(_UNKEYED)
    for warning in warnings:
        say(f"warning: {warning}")
    become(program("gateway", config, GATEWAY, environment(settings), source))


def become_worker(settings: Settings, source: int) -> NoReturn:
    """Replace this process with a worker; `source` is as for a gateway."""
    config, warnings = with_tokens(settings)
    for warning in warnings:
        say(f"warning: {warning}")
    become(program("worker", config, WORKER, environment(settings), source))


def become_admin(settings: Settings) -> NoReturn:
    """Replace this process with the admin service. Raises ConfigError without a login token."""
    config = admin_config(settings)
    if not config.admin_token:
        raise ConfigError(_NO_LOGIN)
    become(program("admin", config, BACKING, environment(settings)))


def with_tokens(settings: Settings) -> tuple[WorkerConfig, list[str]]:
    """Validate a worker's settings. Raises ConfigError, also if there is no token."""
    config, warnings = worker_config(settings)
    if not config.tokens and not config.token_key:
        raise ConfigError(_HOW_TO_BEGIN)
    return config, warnings


def program(
    name: str,
    settings: msgspec.Struct,
    stage: int,
    environment: dict[str, str],
    source: int | None = None,
) -> Program:
    """Return one of our own programs, ready to start."""
    return Program(name, module(name), environment, settings, source, stage=stage)


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment for our programs, without the variables that hold secrets."""
    return environment_without(SECRET_VARIABLES | settings.secret_variables())
