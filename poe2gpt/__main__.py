"""The command `poe2gpt`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from contract.config import ConfigError, read_settings, write_settings
from poe2gpt import flags
from poe2gpt.become import become_gateway, become_worker
from poe2gpt.programs import module
from poe2gpt.settings import settings
from poe2gpt.terminal import Trouble, say


def main() -> None:
    """Run the command. Exit status: 0 as asked, 1 could not, 2 asked for nonsense."""
    try:
        sys.exit(_run(_arguments(sys.argv[1:])))
    except ConfigError as error:
        say(str(error))
        sys.exit(2)
    except Trouble as error:
        say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _arguments(arguments: list[str]) -> list[str]:
    if len(arguments) == 2 and arguments[0] == "--arguments-fd":
        return list(read_settings(int(arguments[1]), tuple[str, ...]))
    if any(secret in flags.parse(arguments).given.values for secret in flags.SECRET_FLAGS):
        _hide(arguments)
    return arguments


def _hide(arguments: Sequence[str]) -> None:
    """Start this command anew, without its arguments: `ps` shows those to every user."""
    fd = write_settings(tuple(arguments))
    os.set_inheritable(fd, True)
    command = module("poe2gpt")
    os.execv(command[0], (*command, "--arguments-fd", str(fd)))  # noqa: S606


def _run(arguments: Sequence[str]) -> int:
    asked = flags.parse(arguments)
    read, file = settings(asked, os.environ)
    # What the rest needs takes half a second to import.
    match asked.command:
        case "gateway":
            return become_gateway(read)
        case "worker":
            return become_worker(read)
        case "demo":
            from poe2gpt.demo import demo  # noqa: PLC0415

            return demo(asked)
        case "check":
            from poe2gpt.check import check  # noqa: PLC0415

            return check(read, file)
        case _:
            from poe2gpt.serve import serve  # noqa: PLC0415

            return serve(read, asked.workers)


if __name__ == "__main__":
    main()
