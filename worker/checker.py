"""Makes the checks of shaping in a child process.

A client brings the schema and all but dictates the answer: a check may take any time and any
memory. So it is bounded, and nobody else waits for it.
"""

from __future__ import annotations

from contract.messages import Event
from runtime.offload import Offload, TooCostly
from worker.shaping.checks import TOO_COSTLY, Check, Verdict, decode_verdict, encode
from worker.shaping.pipeline import Steps

PROCESSES = 2
SECONDS = 2.0
"""CPU time of one check. One of a long answer against a large schema takes 50 ms."""
MEMORY = 512 * 1024 * 1024
"""Bytes of address space, the interpreter's included."""


class Checker:
    """Makes the checks of all jobs of one worker."""

    def __init__(self) -> None:
        self._offload = Offload(
            "worker.shaping.checks:judged", processes=PROCESSES, seconds=SECONDS, memory=MEMORY
        )

    async def finish(self, steps: Steps, check: Check) -> list[Event]:
        """Make this check, and all that shaping asks for after it.

        Returns the end of the answer, as the client gets it. Raises Mismatch.
        """
        try:
            while True:
                check = steps.send(await self._verdict(check))
        except StopIteration as done:
            shaped: list[Event] = done.value
            return shaped

    async def close(self) -> None:
        """End the child processes."""
        await self._offload.close()

    async def _verdict(self, check: Check) -> Verdict:
        try:
            return decode_verdict(await self._offload.call(encode(check)))
        except TooCostly:
            return TOO_COSTLY
