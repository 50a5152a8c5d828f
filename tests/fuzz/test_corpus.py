"""The corpus, and a little more: `make fuzz` goes on from here."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tests.fuzz.inputs import inputs
from tests.fuzz.targets import TARGETS, Target

CASES = [(target, file) for target in TARGETS.values() for file in target.corpus]


@pytest.mark.parametrize(
    ("target", "file"), CASES, ids=[f"{target.name}/{file.name}" for target, file in CASES]
)
def test_the_corpus_does_no_harm(target: Target, file: Path) -> None:
    target.check(file.read_bytes())


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_nor_does_what_is_near_it(target: Target) -> None:
    modest = settings(
        max_examples=100, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )

    modest(given(inputs(target))(target.check))()
