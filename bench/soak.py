"""Tests limits and fairness under load, for minutes: `python -m bench.soak [minutes]`.

The simulated Poe enforces the limits and keeps the record. Prints one line a plan, and exits with 1
if a single limit was broken or a share was unfair.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from tests.support.deployment import Deployment, running_redis
from tests.support.soak import Outcome, Plan, soak

PLANS = {
    "steady, weights 1:2:4": Plan(weights={"a": 1, "b": 2, "c": 4}, accounts=14),
    "one account, 4 workers": Plan(accounts=1, max_in_flight=5),
    "two keys an account": Plan(accounts=5, keys_per_account=2),
    "kills and freezes": Plan(accounts=14, kill_every=8, freeze_every=7),
    "8 workers, slow answers": Plan(
        workers=8, accounts=9, answer="count to 60 every 50ms", answer_seconds=3
    ),
}


async def main(minutes: float) -> int:
    failed = False
    for name, plan in PLANS.items():
        outcome = await _run(replace(plan, seconds=minutes * 60 / len(PLANS)))
        failed = failed or bool(outcome.violations) or outcome.jain < 0.95
        print(
            f"{name:<24} {outcome.starts:>5} starts  {len(outcome.violations)} violations  "
            f"utilisation {outcome.utilisation:.3f}  Jain {outcome.jain:.3f}  "
            f"{outcome.kills} kills  {outcome.freezes} freezes  {dict(outcome.statuses)}",
            flush=True,
        )
    return int(failed)


async def _run(plan: Plan) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="p2g-soak-") as directory:
        async with running_redis() as redis:
            deployment = Deployment(Path(directory), redis)
            try:
                return await soak(deployment, plan)
            finally:
                await deployment.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0)))
