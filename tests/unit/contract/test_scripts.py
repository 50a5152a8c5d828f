"""What of the library goes into a script."""

from __future__ import annotations

from contract.scripts import used

LIBRARY = """-- Shared by all.
local LIFE, SPARE = 1, 2

-- Uses f only in this comment.
local function e() return LIFE end
local function f()
  local function inner() return e() end
  return inner()
end
local function g() return f() + SPARE end
"""


def test_a_script_gets_what_it_uses_and_what_that_uses_in_order() -> None:
    taken = used("return f()", LIBRARY)

    assert taken.index("LIFE, SPARE") < taken.index("function e()") < taken.index("function f()")
    assert "function g()" not in taken


def test_a_script_that_uses_nothing_gets_nothing() -> None:
    assert used("-- As f does.\nreturn 1", LIBRARY) == ""
