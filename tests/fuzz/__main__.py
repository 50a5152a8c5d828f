"""`python -m tests.fuzz MINUTES`: ever new inputs for every target, until one does harm.

That one, made as small as it gets, is then put into the corpus, where the tests find it.
The checks of `targets.py` are also what coverage-guided fuzzers such as atheris expect.
"""

from __future__ import annotations

import hashlib
import itertools
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from tests.fuzz.inputs import inputs
from tests.fuzz.targets import TARGETS, Target

EXAMPLES = 250
"""Inputs of one target before it is the next one's turn."""


def main() -> None:
    until = time.monotonic() + 60 * float(sys.argv[1])
    survived = dict.fromkeys(TARGETS, 0)
    for target in itertools.cycle(TARGETS.values()):
        if time.monotonic() > until:
            break
        survive(target, time.time_ns())
        survived[target.name] += EXAMPLES
    print("no harm done by inputs: " + ", ".join(f"{n} of {name}" for name, n in survived.items()))


def survive(target: Target, random_seed: int) -> None:
    """Try `EXAMPLES` inputs. Raises what the first harmful one did, when it is in the corpus."""
    last = [b""]

    def check(data: bytes) -> None:
        last[0] = data
        target.check(data)

    eager = settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    try:
        eager(seed(random_seed)(given(inputs(target))(check)))()
    except Exception:
        # Hypothesis ends with the smallest input that fails.
        name = hashlib.sha256(last[0]).hexdigest()[:12]
        file = Path(__file__).parent / "corpus" / target.name / name
        file.write_bytes(last[0])
        print(f"{target.name}: {last[0]!r} did harm; it is now {file}")
        raise


if __name__ == "__main__":
    main()
