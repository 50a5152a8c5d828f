"""Parses the command line."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Sequence
from itertools import takewhile
from typing import Any, NoReturn

import msgspec

from contract import texts
from contract.config import ConfigError, Given, nearest
from contract.lookalikes import first_lookalike
from poe2gpt import __version__

COMMANDS = ("serve", "gateway", "worker", "demo", "check", "admin")
ADMINISTRATION = ("keys", "groups", "tokens", "usage", "export")
"""Commands that work on a deployment's Redis, and have flags of their own."""
SECRET_FLAGS = ("tokens", "accessTokens", "redisUrl")
"""Settings that must not be visible in a process's arguments, by their names in `config.toml`."""

_SETTINGS_ONLY = {
    "-x": "proxy",
    "--proxy": "proxy",
    "-s": "simulateRoles",
    "--simulate-roles": "simulateRoles",
}
"""Flags that the README of nicepkg/poe2gpt lists but its code never had."""

_OF_ADMINISTRATION = ("--config", "--redis-url", "--port")
"""Flags that each command of `ADMINISTRATION` takes, and that its own parser does not see."""

WHICH = """\
It also takes --config, --redis-url and --port (-p), which name the deployment: without redisUrl,
the serve or the demo that runs on this port.
"""

_IS_FLAG = re.compile(r"--?[A-Za-z_]\S*").fullmatch
"""Whether a word is a flag for argparse, and not a value."""

_DESCRIPTION = """\
An OpenAI-compatible API over a pool of Poe API keys.

commands:
  serve      run Redis, a gateway and workers on this machine (the default)
  gateway    run one gateway of a larger deployment
  worker     run one worker of a larger deployment
  demo       run everything with a simulated Poe: needs no key and no configuration
  check      check the configuration, Redis, and the points of every token
  admin      run the admin page, which has an API for keys too (needs adminToken)
  keys       make, change and remove access tokens while the service runs: see poe2gpt keys --help
  tokens     add, list, park and remove Poe tokens likewise: see poe2gpt tokens --help
  groups     set what groups of keys may spend: see poe2gpt groups --help
  usage      show who asked for how much, and what it cost: see poe2gpt usage --help
  export     keep a copy of the ledger in SQLite or PostgreSQL: see poe2gpt export --help
"""

_EPILOG = """\
Flags may come before or after the command and mean the same for each. A flag overrides the
environment (POE_TOKENS, ACCESS_TOKENS, PORT, POE2GPT_HOST, REDIS_URL, KEY_PREFIX, POE_URL,
POE_UPLOAD_URL, ...), which overrides the file. config.example.toml explains every setting.

examples:
  poe2gpt demo
  poe2gpt -t poe-key-1,poe-key-2 -sk a-key-for-your-clients
  poe2gpt check --config /etc/poe2gpt.toml
"""


class Flags(msgspec.Struct, frozen=True):
    """A parsed command line. `given` holds only the flags that were given."""

    command: str
    config: str | None
    workers: int
    given: Given
    verb: tuple[str, ...] = ()
    """What is left of the line for a command of `ADMINISTRATION`."""


class Parser(argparse.ArgumentParser):
    """Raises ConfigError for a line that it cannot parse."""

    def _get_option_tuples(self, option_string: str) -> Any:
        # argparse accepts -s for -sk despite allow_abbrev=False; we want exact matches only.
        found = super()._get_option_tuples(option_string)
        return [each for each in found if option_string.startswith(each[1])]

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message} (see {self.prog} --help)")


class OwnParser(Parser):
    """The parser of a command that has flags of its own, or of one of its verbs.

    The parser that meets an unknown flag refuses it, so that the error names the right help. It
    does so before it misses anything: a misspelt flag is often what is missing.
    """

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._subparsers is None:
            self.check_flags(args)
        parsed, extra = super().parse_known_args(args, namespace)
        if extra:
            self.check_flags(extra)
            self.error("too many arguments")
        return parsed, extra

    def check_flags(self, words: Sequence[str]) -> None:
        """Raise ConfigError for an unknown flag among these words, up to `--`."""
        for word in takewhile(lambda word: word != "--", words):
            flag = word.partition("=")[0]
            if _IS_FLAG(word) and flag not in self._option_string_actions:
                known = [*self._option_string_actions, *_OF_ADMINISTRATION]
                self.error(unknown("flag", flag, known))


def parser_of(command: str, *, description: str, epilog: str) -> OwnParser:
    """Return the parser of a command that has flags of its own."""
    return OwnParser(
        command,
        description=description,
        epilog=f"{WHICH}\n{epilog}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def parse(arguments: Sequence[str]) -> Flags:
    """Parse a command line.

    Raises ConfigError if it is invalid, and SystemExit after --help and --version.
    """
    try:
        "".join(arguments).encode()
    except UnicodeEncodeError:
        raise ConfigError("the command line is not UTF-8") from None
    if administering := _administration(arguments):
        return administering
    parser = _parser()
    # Intermixed, so that flags may come before the command.
    parsed, extra = parser.parse_known_intermixed_args(arguments)
    if parsed.command in ADMINISTRATION and (flag := _untaken(parsed, parser)):
        name = parsed.command
        raise ConfigError(f"{name} does not take {flag} (see poe2gpt {name} --help)")
    if extra:
        parser.error(_superfluous(extra[0].partition("=")[0], parser))
    values = {key: value for key, value in vars(parsed).items() if value is not None}
    if str(values.get("coolDown", "")).endswith(".toml"):
        parser.error("-c is the cooldown; a configuration file is given with --config")
    command = values.pop("command", "serve")
    if command not in COMMANDS:
        parser.error(_unknown(command, parser))
    config, workers = values.pop("config", None), values.pop("workers", 2)
    names = {key: _long_name(parser, key) for key in values}
    return Flags(command, config, workers, Given(values, names))


def _administration(arguments: Sequence[str]) -> Flags | None:
    """Parse the line of a command with flags of its own, beside those that say where Redis is."""
    if not set(ADMINISTRATION) & set(arguments):
        return None
    parser = Parser("poe2gpt", add_help=False, allow_abbrev=False)
    parser.add_argument("--config")
    parser.add_argument("--redis-url", dest="redisUrl")
    parser.add_argument("-p", "--port", type=number)
    if "tokens" in arguments:
        parser.add_argument("-t", "--tokens", type=_list)
    parsed, rest = parser.parse_known_args(arguments)
    if not rest or rest[0] not in ADMINISTRATION:
        return None
    values = {key: value for key, value in vars(parsed).items() if value is not None}
    config = values.pop("config", None)
    names = {key: _long_name(parser, key) for key in values}
    return Flags(rest[0], config, 0, Given(values, names), tuple(rest[1:]))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        "poe2gpt",
        usage="poe2gpt [command] [flags]",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    add = parser.add_argument
    add("-t", "--tokens", type=_list, metavar="KEYS", help="Poe API keys, comma-separated")
    add(
        *("-sk", "--access-tokens"),
        dest="accessTokens",
        type=_list,
        metavar="KEYS",
        help="keys for clients, comma-separated; without any, clients need no key",
    )
    add("-p", "--port", type=number, metavar="N", help="the port to listen on (3700)")
    add(
        "--host",
        metavar="HOST",
        help="the address to listen on (0.0.0.0; 127.0.0.1 without access tokens)",
    )
    add(
        *("-r", "--rate-limit"),
        dest="rateLimit",
        type=number,
        metavar="N",
        help="the most calls with one token in any 60 seconds (60)",
    )
    add(
        *("-c", "--cool-down"),
        dest="coolDown",
        type=number,
        metavar="SECONDS",
        help="the least time from one call with a token to the next (3)",
    )
    add(
        *("-o", "--timeout"),
        type=number,
        metavar="SECONDS",
        help="how long Poe may be silent before a call fails (180)",
    )
    add(
        *("-b", "--bot"),
        type=_json_map,
        metavar="JSON",
        help='Poe\'s bots by your model names: {"gpt-4o": "GPT-4o"}',
    )
    add(
        "--config",
        metavar="FILE",
        help="the configuration file (POE2GPT_CONFIG, else ./config.toml if it exists)",
    )
    add(
        "--redis-url",
        dest="redisUrl",
        metavar="URL",
        help="the Redis to use; without it, serve starts its own",
    )
    add(
        "--poe-url",
        dest="poeUrl",
        metavar="URL",
        help="the base URL of Poe (https://api.poe.com)",
    )
    add("--workers", type=_workers, metavar="N", help="how many workers serve and demo start (2)")
    add(
        *("-v", "--version"),
        action="version",
        version=f"poe2gpt {__version__}",
        help="show the version and exit",
    )
    return parser


def _list(text: str) -> list[object]:
    try:
        return texts.listed(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def number(text: str) -> int | float | str:
    """Parse a number. Other text is returned as it is; validation rejects it later."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _json_map(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        hint = first_lookalike(text)
        raise argparse.ArgumentTypeError(f"not JSON: {hint or error}") from None


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise argparse.ArgumentTypeError("expected a number from 1 to 64")
    return int(text)


def _long_name(parser: argparse.ArgumentParser, key: str) -> str:
    action = next(each for each in parser._actions if each.dest == key)
    return action.option_strings[-1]


def _untaken(parsed: argparse.Namespace, parser: argparse.ArgumentParser) -> str:
    """Return a flag that was given and that this command does not take; "" if there is none."""
    taken = [*_OF_ADMINISTRATION, *(["--tokens"] if parsed.command == "tokens" else [])]
    for key, value in vars(parsed).items():
        if key != "command" and value is not None and _long_name(parser, key) not in taken:
            return _long_name(parser, key)
    return ""


def _superfluous(word: str, parser: argparse.ArgumentParser) -> str:
    if word in (*COMMANDS, *ADMINISTRATION):
        return f"unexpected second command {word}"
    if setting := _SETTINGS_ONLY.get(word):
        return f"there is no flag {word}; set `{setting}` in config.toml"
    return _unknown(word, parser)


def _unknown(word: str, parser: argparse.ArgumentParser) -> str:
    if word.startswith("-"):
        return unknown("flag", word, [o for each in parser._actions for o in each.option_strings])
    return unknown("command", word, [*COMMANDS, *ADMINISTRATION])


def unknown(kind: str, word: str, known: Collection[str], otherwise: str = "") -> str:
    """Return an error about an unknown word, with the known one that was probably meant.

    If it resembles none, the error says `otherwise`.
    """
    near = nearest(word, known)
    # An unrecognised word may be a secret whose flag is missing: do not print it.
    shown = f" {word}" if near or re.fullmatch(r"-[a-z]{1,2}|--[a-z][a-z_-]{0,19}", word) else ""
    advice = f"did you mean {near}?" if near else otherwise
    return f"unknown {kind}{shown}" + (f"; {advice}" if advice else "")
