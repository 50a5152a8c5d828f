"""Runs the subcommands of `poe2gpt`."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from contract.config import ConfigError, Settings, read_settings, write_settings
from poe2gpt import flags
from poe2gpt.become import become_admin, become_gateway, become_worker
from poe2gpt.programs import module
from poe2gpt.reread import Role, source_of
from poe2gpt.settings import check_key_log, ignored_host, settings
from poe2gpt.terminal import CommandError, say


def run(arguments: Sequence[str]) -> int:
    """Run a command line. Returns the exit status: 0 success, 1 failure, 2 invalid usage."""
    try:
        return _run(_arguments(arguments))
    except ConfigError as error:
        say(str(error))
        return 2
    except CommandError as error:
        say(str(error))
        return 1


def _arguments(arguments: Sequence[str]) -> Sequence[str]:
    if len(arguments) == 2 and arguments[0] == "--arguments-fd":
        return read_settings(int(arguments[1]), tuple[str, ...])
    if any(secret in flags.parse(arguments).given.values for secret in flags.SECRET_FLAGS):
        _hide(arguments)
    return arguments


def _hide(arguments: Sequence[str]) -> None:
    """Execute this command again without its arguments, which `ps` shows to every user."""
    fd = write_settings(tuple(arguments))
    os.set_inheritable(fd, True)
    command = module("poe2gpt")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.execv(command[0], (*command, "--arguments-fd", str(fd)))  # noqa: S606


def _run(arguments: Sequence[str]) -> int:
    asked = flags.parse(arguments)
    read, file = settings(asked, os.environ)
    if asked.command in ("admin", *flags.ADMINISTRATION):
        return _administer(asked, read)
    check_key_log(os.environ)
    if asked.command != "worker":
        for warning in ignored_host(os.environ, read):
            say(f"warning: {warning}")
    # Imported on demand: the imports take half a second.
    match asked.command:
        case "gateway":
            return become_gateway(read, source_of("gateway", asked, os.environ, read, file))
        case "worker":
            return become_worker(read, source_of("worker", asked, os.environ, read, file))
        case "demo":
            from poe2gpt.demo import demo  # noqa: PLC0415

            return demo(asked)
        case "check":
            from poe2gpt.check import check  # noqa: PLC0415
            from poe2gpt.redis import with_running_serve  # noqa: PLC0415

            return check(with_running_serve(read), file)
        case _:
            from poe2gpt.serve import serve  # noqa: PLC0415

            def source(role: Role, own: Mapping[str, Any]) -> int:
                return source_of(role, asked, os.environ, read, file, defaults=own)

            return serve(read, asked.workers, source)


def _administer(asked: flags.Flags, read: Settings) -> int:
    from poe2gpt.redis import with_running_serve  # noqa: PLC0415

    read = with_running_serve(read)
    if asked.command == "admin":
        return become_admin(read)
    # Each module of these has a function of the same name.
    command = getattr(import_module(f"poe2gpt.{asked.command}"), asked.command)
    status: int = command(read, asked.verb)
    return status
