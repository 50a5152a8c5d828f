"""Limits are exact and shares fair, as the simulated Poe's own record has it."""

from __future__ import annotations

import pytest

from tests.support.deployment import Deployment
from tests.support.soak import Plan, soak


@pytest.mark.timeout(120)
async def test_four_overloaded_workers_break_no_limit_and_are_fair(deployment: Deployment) -> None:
    plan = Plan(seconds=14, weights={"a": 1.0, "b": 2.0, "c": 4.0})

    outcome = await soak(deployment, plan)

    print(f"\n{outcome}")  # noqa: T201  # utilisation and shares are worth a look
    assert outcome.violations == []
    assert outcome.jain >= 0.95
    assert set(outcome.statuses) == {200}


@pytest.mark.timeout(120)
async def test_nothing_that_dies_freezes_or_restarts_breaks_a_limit(
    deployment: Deployment,
) -> None:
    plan = Plan(seconds=24, kill_every=4, freeze_every=3, restart_redis_after=11)

    outcome = await soak(deployment, plan)

    print(f"\n{outcome}")  # noqa: T201  # utilisation and shares are worth a look
    assert outcome.violations == []
    assert outcome.kills >= 3
    assert outcome.freezes >= 2
