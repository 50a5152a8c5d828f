"""How scripts end jobs that no worker runs."""

from __future__ import annotations

from contract.messages import Failed, FailureKind

TOO_LATE = Failed(
    FailureKind.QUEUE_TIMEOUT, "The request waited too long for a free Poe key. Try again later."
)
INTERRUPTED = Failed(
    FailureKind.INTERRUPTED,
    "The answer was interrupted: the process that was receiving it has stopped.",
    charged=True,
)
DEADLY = Failed(
    FailureKind.INTERRUPTED,
    "The request was given up: each process that began it has stopped.",
    charged=True,
)
