"""`python -m gateway`, but with less patience for slow senders than a test has time for."""

from __future__ import annotations

import gateway.__main__ as program
import gateway.http

PATIENCE = 0.3
"""Seconds."""

if __name__ == "__main__":
    gateway.http.BODY_TIMEOUT = PATIENCE
    program.HEADER_TIMEOUT_MS = round(PATIENCE * 1000)
    program.main()
