"""The Lua scripts: what must be atomic. Each file explains itself; `lib.lua` precedes them all.

A Redis that is full refuses those which bring new work. The others must run all the same: they are
how what fills it comes to its end, and how those who live are known to.
"""

from __future__ import annotations

from importlib.resources import files

_LUA = files("contract") / "lua"
_LIB = (_LUA / "lib.lua").read_text()
_BRING_WORK = {"claim", "enqueue"}


def source(name: str) -> str:
    """The source of one script, as Redis gets it."""
    # Without such a line a script that has deleted something may write on, full or not.
    head = "#!lua\n" if name in _BRING_WORK else "#!lua flags=allow-oom\n"
    return head + _LIB + (_LUA / f"{name}.lua").read_text()
