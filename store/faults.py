"""What Redis can raise, and which of it is worth another try."""

from __future__ import annotations

from redis import exceptions

RedisFault = (exceptions.RedisError, OSError, TimeoutError)
"""All that a broken or frozen Redis can raise."""

_OUR_MISTAKE = (exceptions.ResponseError, exceptions.DataError)
_STATE_OF_THE_SERVER = (
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
    exceptions.NoPermissionError,
    exceptions.NoScriptError,
    exceptions.ClusterDownError,
    exceptions.TryAgainError,
    exceptions.AuthenticationWrongNumberOfArgsError,
)
_CODES_OF_THE_SERVER = (
    "NOREPLICAS",
    "MISCONF",
    "BUSY",
    "UNBLOCKED",
    "NOAUTH",
    "NOGOODSLAVE",
    # What is NOAUTH for a command of at most ten words.
    "Protocol error: unauthenticated",
)
"""Beginnings of errors about the server's state for which redis-py has no class."""


def is_transient(fault: BaseException) -> bool:
    """Return whether the same command may work later: the server is at fault, not the command."""
    if not isinstance(fault, _OUR_MISTAKE) or isinstance(fault, _STATE_OF_THE_SERVER):
        return True
    return str(fault).startswith(_CODES_OF_THE_SERVER)
