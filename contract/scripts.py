"""The Lua scripts: what must be atomic. Each file explains itself; `lib.lua` precedes them all.

A Redis that is full refuses those which bring new work. The others must run all the same: they are
how what fills it comes to its end, and how the living are told from the dead.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

import msgspec

_LUA = files("contract") / "lua"
_LIB = (_LUA / "lib.lua").read_text()
_BRING_WORK = {"claim", "enqueue"}


class Script(msgspec.Struct, frozen=True):
    """One script, as Redis knows it: by the digest of its source."""

    source: str
    sha: str


@cache
def script(name: str) -> Script:
    """Return the script of this name."""
    text = source(name)
    # Redis names a script by this digest; it secures nothing.
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def source(name: str) -> str:
    """Return the source of one script, as Redis gets it."""
    # Without such a line a script that has deleted something may write on, full or not.
    head = "#!lua\n" if name in _BRING_WORK else "#!lua flags=allow-oom\n"
    return head + _LIB + (_LUA / f"{name}.lua").read_text()
