"""What commands with verbs share: `poe2gpt keys list`, `poe2gpt tokens list`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from poe2gpt.flags import parser_of


class Verbs:
    """The verbs of one command, each of which can print JSON."""

    def __init__(self, command: str, *, description: str, epilog: str) -> None:
        self._parser = parser_of(command, description=description, epilog=epilog)
        self._verbs = self._parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(self, name: str, help_: str, operand: str = "") -> argparse.ArgumentParser:
        """Add a verb, and return its parser."""
        parser: argparse.ArgumentParser = self._verbs.add_parser(
            name, help=help_, allow_abbrev=False
        )
        if operand:
            parser.add_argument(operand)
        parser.add_argument("--json", action="store_true", help="print JSON")
        return parser

    def parsed(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse what follows the command. Raises ConfigError."""
        return self._parser.parse_args(arguments)
