"""Translates whatever goes wrong on the way to Poe into faults, in one place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import msgspec

from worker.poe.errors import LONGEST_MESSAGE
from worker.poe.faults import Fault, FaultKind

FOREIGN = (
    httpx.HTTPError,
    httpx.StreamError,
    httpx.InvalidURL,
    msgspec.MsgspecError,
    UnicodeError,
    OSError,
)
"""The exceptions that a request may raise; `TimeoutError` is an OSError."""

_NOT_CONNECTED = (httpx.ConnectError, httpx.ConnectTimeout)


@contextmanager
def translated(secret: str = "", sent: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Turn foreign exceptions into faults, and redact the secret in Poe's messages.

    `sent` returns whether any byte of the request may have left.
    """
    try:
        yield
    except Fault as fault:
        if secret:
            fault.message = _redacted(fault.message, secret)
        raise
    except FOREIGN as error:
        left = sent() and not isinstance(error, _NOT_CONNECTED)
        raise Fault(_kind(error, left), sent=left) from error


def _redacted(message: str, secret: str) -> str:
    """Remove the secret, and the beginning of one at which the message was cut."""
    cut = len(message) >= LONGEST_MESSAGE
    message = message.replace(secret, "[token]")
    sizes = range(min(len(secret) - 1, len(message)), 0, -1) if cut else range(0)
    end = next((size for size in sizes if message.endswith(secret[:size])), 0)
    return message[: len(message) - end]


def _kind(error: Exception, sent: bool) -> FaultKind:
    if isinstance(error, TimeoutError):
        return FaultKind.TIMEOUT
    if isinstance(error, msgspec.MsgspecError | UnicodeError | httpx.InvalidURL):
        return FaultKind.PROTOCOL if sent else FaultKind.BAD_REQUEST
    if not sent:
        return FaultKind.UNREACHABLE
    if isinstance(error, httpx.RemoteProtocolError):
        return FaultKind.PROTOCOL
    return (
        FaultKind.CUT if isinstance(error, httpx.TransportError | OSError) else FaultKind.PROTOCOL
    )
