"""Anthropic's names of its models, and which of Poe's are meant by them. Pure.

Anthropic dates its models, and writes versions with a hyphen, at either side of the family:
`claude-sonnet-4-5-20250929`, `claude-3-5-haiku-latest`; Claude Code adds the size of the context in
brackets, `claude-opus-4-8[1m]`. Poe has one name for each, `claude-sonnet-4.5`, and drops versions
that Anthropic retires, though clients that are not updated go on asking for them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Version = tuple[int, int]

_NAME = re.compile(
    r"(?:anthropic[/.])?claude-"
    r"(?:(?P<before>\d{1,2}(?:[.-]\d{1,2})?)-)?"
    r"(?P<family>[a-z]+)"
    r"(?:-(?P<behind>\d{1,2}(?:[.-]\d{1,2})?))?"
    r"(?:[-@](?:20\d{6}|latest|default))?"
    r"(?:-v\d(?::\d)?)?"
    r"(?:\[\w{1,8}\])?"
)


def meant_by(name: str, known: Iterable[str]) -> str | None:
    """Return what Poe calls the model that one of Anthropic's names means; None if it is none.

    Names are in lower case. The version that is asked for is the best, then the next newer one
    that is known, since a model that was retired has a successor. One that is newer than all has
    the name that Poe will give it. Without a version, the newest of the family is meant. A family
    of which no version is known is none of Anthropic's.
    """
    asked = _read(name)
    if asked is None:
        return None
    family, version = asked
    versions = {own: each for each in known if (own := _version_of(each, family)) is not None}
    if not versions:
        return None
    if version is None:
        return versions[max(versions)]
    newer = [own for own in versions if own >= version]
    return versions[min(newer)] if newer else _written(family, version)


def _written(family: str, version: Version) -> str:
    major, minor = version
    return f"claude-{family}-{major}.{minor}" if minor else f"claude-{family}-{major}"


def _version_of(name: str, family: str) -> Version | None:
    read = _read(name)
    return read[1] if read is not None and read[0] == family else None


def _read(name: str) -> tuple[str, Version | None] | None:
    """Return the family and the version in a name, if it is one of Anthropic's."""
    match = _NAME.fullmatch(name)
    if match is None or (match["before"] and match["behind"]):
        return None
    numbers = match["before"] or match["behind"]
    if numbers is None:
        return match["family"], None
    major, _, minor = numbers.replace("-", ".").partition(".")
    return match["family"], (int(major), int(minor or 0))
