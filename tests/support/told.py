"""A function to run in a child process, which does what its data says. Imports almost nothing."""

from __future__ import annotations

import os
import signal

MEMORY = 256 * 1024 * 1024
"""The bytes of memory that it may use."""


def tell(data: bytes) -> bytes:
    """Do what the data says."""
    match data:
        case b"loop":
            while True:
                pass
        case b"memory":
            return b"x" * (2 * MEMORY)
        case b"die":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"raise":
            raise ValueError
        case b"pid":
            return str(os.getpid()).encode()
        case b"secret":
            return os.environ.get("POE_TOKENS", "").encode()
    return data[::-1]
