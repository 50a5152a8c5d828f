"""Becomes a gateway or a worker. Imports little: each start of a container waits for it."""

from __future__ import annotations

from typing import NoReturn

import msgspec

from contract.config import ConfigError, Settings
from gateway.config import gateway_config
from poe2gpt.programs import GATEWAY, WORKER, Program, become, environment_without, module
from poe2gpt.settings import SECRET_VARIABLES
from poe2gpt.terminal import say
from worker.config import WorkerConfig, worker_config

_HOW_TO_BEGIN = """\
no Poe token is given: poe2gpt -t <a key from https://poe.com/api_key>, or tokens in config.toml
(config.example.toml explains every setting; to look around without a key: poe2gpt demo)"""

_UNKEYED = (
    "no fingerprintKey is set, so whoever can read Redis can test guesses of access tokens; "
    "give all gateways and workers the same, such as `openssl rand -hex 32` makes"
)


def become_gateway(settings: Settings) -> NoReturn:
    """Replace this process by a gateway. The settings of workers are not even looked at."""
    config, warnings = gateway_config(settings)
    if config.access_tokens and "fingerprintKey" not in settings.values:
        warnings.append(_UNKEYED)
    for warning in warnings:
        say(f"warning: {warning}")
    become(program("gateway", config, GATEWAY, environment(settings)))


def become_worker(settings: Settings) -> NoReturn:
    """Replace this process by a worker."""
    config, warnings = with_tokens(settings)
    for warning in warnings:
        say(f"warning: {warning}")
    become(program("worker", config, WORKER, environment(settings)))


def with_tokens(settings: Settings) -> tuple[WorkerConfig, list[str]]:
    """Validate a worker's part of the settings; raises ConfigError if it has no token."""
    config, warnings = worker_config(settings)
    if not config.tokens:
        raise ConfigError(_HOW_TO_BEGIN)
    return config, warnings


def program(
    name: str, settings: msgspec.Struct, stage: int, environment: dict[str, str]
) -> Program:
    """One of our own programs, as it is to be started."""
    return Program(name, module(name), environment, settings, stage=stage)


def environment(settings: Settings) -> dict[str, str]:
    """The environment of our programs: without any variable that holds a secret."""
    return environment_without(SECRET_VARIABLES | settings.secret_variables())
