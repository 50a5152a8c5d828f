"""`python -m gateway` with a short deadline for slow senders, so that tests need not wait."""

from __future__ import annotations

import gateway.__main__ as program
import gateway.http

PATIENCE = 0.3
"""Seconds."""

if __name__ == "__main__":
    gateway.http.BODY_TIMEOUT = PATIENCE
    program.HEADER_TIMEOUT_MS = round(PATIENCE * 1000)
    program.main()
