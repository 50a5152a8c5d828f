"""Runs state machines of hypothesis over a real Redis."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.support.scripts import Scripts


def run_machine(
    machine: type[RuleBasedStateMachine], scripts: Scripts, *, examples: int, steps: int
) -> None:
    """Run a machine whose attribute `scripts` is the Redis that it works on."""
    on_this_redis: Any = type(machine.__name__, (machine,), {"scripts": scripts})
    run_state_machine_as_test(
        on_this_redis,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            # To shrink an example over a real Redis takes minutes.
            phases=[Phase.generate],
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
