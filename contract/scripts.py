"""The Lua scripts: what must be atomic. Each file explains itself; `lib.lua` precedes them all."""

from __future__ import annotations

from importlib.resources import files

_LUA = files("contract") / "lua"
_LIB = (_LUA / "lib.lua").read_text()


def source(name: str) -> str:
    """The source of one script, as Redis gets it."""
    return _LIB + (_LUA / f"{name}.lua").read_text()
