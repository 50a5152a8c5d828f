"""Which faults of Redis are worth another try."""

from __future__ import annotations

import pytest
from redis import exceptions

from store.faults import is_transient


@pytest.mark.parametrize(
    "fault",
    [
        exceptions.ConnectionError("refused"),
        exceptions.AuthenticationError("WRONGPASS"),
        exceptions.BusyLoadingError("loading"),
        exceptions.OutOfMemoryError("used memory > 'maxmemory'"),
        exceptions.ReadOnlyError("replica"),
        exceptions.MasterDownError("link is down"),
        exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."),
        exceptions.ResponseError("MISCONF Errors writing to the AOF file"),
        exceptions.ResponseError("UNBLOCKED force unblock from blocking operation"),
        exceptions.ResponseError("Protocol error: unauthenticated multibulk length"),
        TimeoutError(),
        OSError("no route"),
    ],
    ids=str,
)
def test_what_ails_the_server_may_pass(fault: BaseException) -> None:
    assert is_transient(fault)


@pytest.mark.parametrize(
    "fault",
    [
        exceptions.ResponseError("WRONGTYPE Operation against a key of the wrong kind"),
        exceptions.ResponseError("unknown command"),
        exceptions.DataError("invalid input"),
    ],
    ids=str,
)
def test_what_is_wrong_with_a_command_stays_wrong(fault: BaseException) -> None:
    assert not is_transient(fault)
