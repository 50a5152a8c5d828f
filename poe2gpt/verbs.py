"""What commands with verbs share: `poe2gpt keys list`, `poe2gpt tokens list`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import filterfalse, takewhile

from poe2gpt.flags import WHICH, parser_of, unknown


class Verbs:
    """The verbs of one command, each of which can print JSON."""

    def __init__(self, command: str, *, description: str, epilog: str) -> None:
        self._parser = parser_of(command, description=description, epilog=epilog)
        self._verbs = self._parser.add_subparsers(dest="verb", metavar="VERB", required=True)

    def add(
        self, name: str, help_: str, operand: str = "", meaning: str = ""
    ) -> argparse.ArgumentParser:
        """Add a verb, and return its parser. `meaning` says what its `operand` stands for."""
        parser: argparse.ArgumentParser = self._verbs.add_parser(
            name,
            help=help_,
            description=f"{help_[0].upper()}{help_[1:]}.",
            epilog=WHICH,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if operand:
            parser.add_argument(operand, metavar=operand.upper(), help=meaning)
        parser.add_argument("--json", action="store_true", help="print JSON")
        return parser

    def parsed(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse what follows the command. Raises ConfigError."""
        verbs = list(self._verbs.choices)
        expected = f"expected {', '.join(verbs[:-1])} or {verbs[-1]}"
        if not arguments:
            self._parser.error(expected)
        self._parser.check_flags(list(takewhile(_begins_with_dash, arguments)))
        verb = next(filterfalse(_begins_with_dash, arguments), verbs[0])
        if verb not in verbs:
            # A verb that only resembles what was typed may do harm: "create" is not "rotate".
            near = [each for each in verbs if each[0] == verb[:1]]
            self._parser.error(unknown("verb", verb, near, expected))
        return self._parser.parse_args(arguments)


def _begins_with_dash(word: str) -> bool:
    return word.startswith("-")
