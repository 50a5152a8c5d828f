"""Parameters that several dialects have in common."""

from __future__ import annotations

import pytest

from gateway.problems import Problem
from gateway.render.parameters import number_in_query


@pytest.mark.parametrize(
    ("given", "number"), [("1", 1), ("100", 100), ("007", 7), ("0" * 9000 + "7", 7)]
)
def test_a_whole_number_is_read(given: str, number: int) -> None:
    assert number_in_query(given, "limit", 1, 100) == number


@pytest.mark.parametrize(
    "given",
    ["", "0", "101", "000000001999", "9" * 5000, "0" * 9 + "9" * 5000, "-1", "1.0", "\u0663", " 1"],
)
def test_all_else_is_refused(given: str) -> None:
    with pytest.raises(Problem, match="it must be a whole number from 1 to 100"):
        number_in_query(given, "limit", 1, 100)
