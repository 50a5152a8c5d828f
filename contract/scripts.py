"""The Lua scripts: what must be atomic. Each file explains itself; `lib.lua` precedes them all.

Where a file has `keys.job(id)` or `keys.ring`, a script has the key of that name in `Keys`, spelled
out once, when it is loaded: `('p2g:job:{' .. id .. '}')`, `'p2g:ring'`.

A Redis that is full refuses those which bring new work or can be done without. The others must run
all the same: they are how what fills it comes to its end, and how the living are told from the
dead.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files

import msgspec

from contract.keys import Keys

_LUA = files("contract") / "lua"
_BRING_WORK = {"claim", "distribute", "enqueue", "resend", "settle"}
_KEY = re.compile(r"(?<![/\w])keys\.(?P<name>\w+)(?:\((?P<arguments>[^()]*)\))?")
_GAP = "\0"
"""Stands for what a key is named after, to find the text around it."""


class Script(msgspec.Struct, frozen=True):
    """One script, as Redis knows it: by the digest of its source."""

    source: str
    sha: str


@cache
def script(name: str, prefix: str) -> Script:
    """Return the script of this name, for a deployment whose keys have this prefix."""
    text = source(name, prefix)
    # Redis names a script by this digest; it secures nothing.
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def source(name: str, prefix: str) -> str:
    """Return the source of one script, as Redis gets it."""
    # Without such a line a script that has deleted something may write on, full or not.
    head = "#!lua\n" if name in _BRING_WORK else "#!lua flags=allow-oom\n"
    files_ = ((_LUA / f"{each}.lua").read_text() for each in ("lib", name))
    return head + with_keys("".join(files_), Keys(prefix))


def with_keys(lua: str, keys: Keys) -> str:
    """Spell out the names of keys in a script.

    Raises AttributeError for a key that has no name in `Keys`, TypeError for wrong arguments.
    """

    def spelled_out(match: re.Match[str]) -> str:
        key, arguments = getattr(keys, match["name"]), match["arguments"]
        if arguments is None:
            return _literal(key)
        values = arguments.split(", ")
        first, *others = map(_literal, key(*(_GAP for _ in values)).split(_GAP))
        parts = (f"{value} .. {text}" for value, text in zip(values, others, strict=True))
        return f"({first} .. {' .. '.join(parts)})".replace(" .. '')", ")")

    return _KEY.sub(spelled_out, lua)


def _literal(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError("this key is named after something: give it in brackets")
    return f"'{text}'"
