"""The command `poe2gpt usage`: who asked for how much, and what it cost."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

from contract import periods, texts, time_zones
from contract.config import ConfigError, Settings, nearest
from contract.time_zones import time_zone
from contract.usage import DIMENSIONS, KEY, Filter, Usage
from contract.usage_rows import write_csv
from poe2gpt.flags import parser_of
from poe2gpt.redis import on_redis
from poe2gpt.terminal import say
from poe2gpt.usage_report import Report, as_json, as_table
from store.ledger import before, pages
from store.link import Link

NO_TIME = "0"

SLACK = datetime.timedelta(days=1, hours=1)
"""By how much Redis's clock, which orders the ledger, may be wrong or have been set since."""

LATEST = datetime.timedelta(days=40)
"""How long after a request its record is looked for: Poe's history corrects some much later."""

_EPILOG = f"""\
Days begin at midnight in --time-zone. A request counts on the day on which it was made, once for
each of its `n` answers. POINTS is what it cost, corrected by Poe's own history. UNMATCHED is what
Poe charged for calls that are not ours. WAIT is the time in the queue, and TIME the time until the
end of the answer: the mean and the 95th percentile, in seconds.

--since and --until take a day (2026-11-27) or a month (2026-11), all of which is included, a time
with its zone (2026-11-27T18:00:00Z), or how long ago (12h, 7d). Without them, all that the ledger
holds is counted (see ledgerLife in config.example.toml). --by takes some of
{", ".join(DIMENSIONS)}.

examples:
  poe2gpt usage
  poe2gpt usage --by group,model --since 2026-11 --until 2026-11
  poe2gpt usage --by day --key ann --since 30d --time-zone Europe/Berlin
  poe2gpt usage --by day,key,model --csv > usage.csv
"""


def usage(settings: Settings, arguments: Sequence[str]) -> int:
    """Run `poe2gpt usage` with these arguments, and return the exit status.

    Raises ConfigError and CommandError.
    """
    asked = parsed(arguments)
    wanted = chosen(asked, datetime.datetime.now(datetime.UTC))
    found = Usage(asked.time_zone.key, asked.by)

    async def read(link: Link) -> None:
        first = before(wanted.since - SLACK.total_seconds() * 1000)
        last = wanted.until + LATEST.total_seconds() * 1000
        async for page in pages(lambda call: link.run(call, NO_TIME), first, last):
            for _, record in page:
                if wanted.passes(record):
                    found.add(record)

    on_redis(settings, read)
    # Outside of that: a pipe that breaks is no fault of Redis.
    _print(Report(found, tuple(asked.by), wanted), asked)
    return 0


def _print(report: Report, asked: argparse.Namespace) -> None:
    if asked.csv:
        write_csv(report.by, report.rows, sys.stdout)
    elif asked.json:
        print(as_json(report))
    elif report.rows:
        print(as_table(report))
    else:
        say("the ledger has no request of this kind")


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse what follows `usage`. Raises ConfigError."""
    parser = parser_of(
        "poe2gpt usage",
        description="Show who asked for how much, and what it cost, from the ledger.",
        epilog=_EPILOG,
    )
    add = parser.add_argument
    add("--by", action="append", metavar="NAMES", help="what to group by, comma-separated (key)")
    add("--since", metavar="WHEN", help="only requests made from then on")
    add("--until", metavar="WHEN", help="only requests made until then")
    add(
        "--key",
        action="append",
        default=[],
        metavar="KEY",
        help="only this key, by name or id; may be repeated",
    )
    add(
        "--group",
        action="append",
        default=[],
        metavar="GROUP",
        help="only this group; may be repeated",
    )
    add(
        "--model",
        action="append",
        default=[],
        metavar="MODEL",
        help="only this model; may be repeated",
    )
    add("--time-zone", default="UTC", type=_zone, metavar="ZONE", help="where days begin (UTC)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print CSV")
    form.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args(arguments)
    asked.by = _dimensions(asked.by or [KEY])
    return asked


def _zone(text: str) -> ZoneInfo:
    zone = time_zone(text)
    if zone is None:
        raise argparse.ArgumentTypeError(f"{text!r}: {time_zones.EXPECTED}")
    return zone


def _dimensions(given: list[str]) -> list[str]:
    names: dict[str, None] = {}
    for text in given:
        for name in texts.listed(text) or [""]:
            if name not in DIMENSIONS:
                hint = nearest(str(name), DIMENSIONS)
                raise ConfigError(
                    f"`--by` = {name!r}: expected {', '.join(DIMENSIONS[:-1])} or {DIMENSIONS[-1]}"
                    + (f"; did you mean {hint}?" if hint else "")
                )
            names[str(name)] = None
    return list(names)


def chosen(asked: argparse.Namespace, now: datetime.datetime) -> Filter:
    """Return which records are asked for. Raises ConfigError for a period that is none."""
    period = {}
    for flag, instant in (("since", periods.beginning), ("until", periods.end)):
        if text := getattr(asked, flag):
            period[flag] = _at(f"--{flag}", text, instant, asked.time_zone, now)
    if asked.since and asked.until and period["since"] >= period["until"]:
        raise ConfigError("`--since` is not before `--until`")
    return Filter(
        **period,
        keys=frozenset(asked.key),
        groups=frozenset(asked.group),
        models=frozenset(each.lower() for each in asked.model),
    )


def _at(
    flag: str,
    text: str,
    instant: Callable[[str, ZoneInfo, datetime.datetime], datetime.datetime],
    zone: ZoneInfo,
    now: datetime.datetime,
) -> float:
    try:
        return instant(text, zone, now).timestamp() * 1000
    except (ValueError, OverflowError):
        raise ConfigError(f"`{flag}` = {text!r}: {periods.EXPECTED}") from None
