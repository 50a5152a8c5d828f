"""The Lua scripts: what must be atomic. Each file explains itself; `lib.lua` is what they share.

Redis makes anew, for each call, all functions that a script has before its own lines. So of the
library a script gets what it uses: all of it would take a tenth of what the scripts of an answer
take.

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
_WORD = re.compile(r"\w+")
_COMMENT = re.compile(r"^\s*--.*\n", re.MULTILINE)
_STATEMENT = re.compile(
    r"^local (?:function )?(?P<names>[\w, ]+?)(?= =|\(|\n).*?(?=^local |\Z)", re.M | re.S
)
"""A statement of the library: `local function f(…)`, `local A, B = …`, `local a`, not indented."""
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
    own = (_LUA / f"{name}.lua").read_text()
    return head + with_keys(used(own, (_LUA / "lib.lua").read_text()) + own, Keys(prefix))


def used(script: str, library: str) -> str:
    """Return the statements of a library that a script uses, itself or by others that it uses."""
    words = set(_WORD.findall(_COMMENT.sub("", script)))
    found: list[str] = []
    # A statement can only use those before it.
    for statement in reversed(list(_STATEMENT.finditer(_COMMENT.sub("", library)))):
        if not words.isdisjoint(statement["names"].split(", ")):
            found.insert(0, statement[0])
            words.update(_WORD.findall(statement[0]))
    return "".join(found)


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
