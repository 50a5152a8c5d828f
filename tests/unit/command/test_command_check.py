"""What `poe2gpt check` makes of what it hears."""

from __future__ import annotations

import pytest
from redis import exceptions

from poe2gpt.check import (
    TokenState,
    dead_findings,
    ignored_variables,
    redis_findings,
    state_of,
    table,
    token_state,
    unchecked_tokens,
)
from poe2gpt.serve import unreachable
from worker.poe.faults import Fault, FaultKind

GRANT = 1_893_456_000_000_000  # 2030-01-01 in microseconds


@pytest.mark.parametrize(
    ("body", "state"),
    [
        pytest.param(b'{"current_point_balance": 1500}', "ok", id="well"),
        pytest.param(b'{"current_point_balance": 0}', "no points", id="poor"),
        pytest.param(b"<html>", "Poe's answer is not a balance", id="a page"),
    ],
)
def test_a_token_is_well_only_with_points(body: bytes, state: str) -> None:
    found = token_state("token-1", body)

    assert found.state == state
    assert found.well == (state == "ok")


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (FaultKind.BAD_KEY, "refused: the key is wrong or revoked"),
        (FaultKind.UNREACHABLE, "Poe cannot be reached (unreachable)"),
        (FaultKind.OVERLOADED, "Poe returned no balance: The upstream is overloaded."),
    ],
)
def test_why_there_is_no_balance_is_told(kind: FaultKind, state: str) -> None:
    assert state_of(Fault(kind)) == state


@pytest.mark.parametrize(
    ("variables", "proxy", "hints"),
    [
        pytest.param({"NO_PROXY": "[::1]", "HTTPS_PROXY": ""}, None, 0, id="none that leads"),
        pytest.param({"https_proxy": "s3cret", "ALL_PROXY": "s3cret"}, None, 1, id="proxies"),
        pytest.param({"HTTPS_PROXY": "s3cret"}, "http://proxy", 0, id="a proxy of our own"),
        pytest.param({"SSL_CERT_FILE": "s3cret"}, None, 1, id="certificates"),
    ],
)
def test_variables_that_workers_do_not_heed_are_named(
    variables: dict[str, str], proxy: str | None, hints: int
) -> None:
    found = ignored_variables(variables, proxy)

    assert len(found) == hints
    assert all(name in found[0] for name in variables if hints)
    assert "s3cret" not in "".join(found)


def test_the_next_grant_is_told_in_utc() -> None:
    body = b"""{"current_point_balance": 1,
        "next_daily_grant_time": %d, "next_daily_grant_amount": 3000}"""

    found = token_state("token-1", body % GRANT)

    assert found.grant == "3,000 at 2030-01-01 00:00 UTC"


def test_the_table_is_aligned() -> None:
    states = [TokenState("a", "ok", "5"), TokenState("longer-label", "no points", "1,000")]

    lines = table(states).splitlines()

    assert lines == [
        "TOKEN         STATE      POINTS  NEXT GRANT",
        "a             ok              5",
        "longer-label  no points   1,000",
    ]


@pytest.mark.parametrize(
    ("info", "policy", "well", "text"),
    [
        pytest.param({"redis_version": "7.0.15"}, "noeviction", True, "7.0.15", id="right"),
        pytest.param({"redis_version": "6.2.14"}, "", False, "too old", id="old"),
        pytest.param({"redis_version": "7.2.4"}, "allkeys-lru", False, "vanish", id="evicts"),
        pytest.param(
            {"redis_version": "7.2.4", "valkey_version": "9.1.2"}, "", True, "9.1.2", id="Valkey"
        ),
        pytest.param(
            {"redis_version": "7.0.0", "maxmemory": "5", "used_memory": "9"},
            "",
            False,
            "is full",
            id="full",
        ),
        pytest.param(
            {"redis_version": "7.0.0", "aof_enabled": "0"}, "", True, "loses the queue", id="no AOF"
        ),
    ],
)
def test_a_redis_is_judged(info: dict[str, str], policy: str, well: bool, text: str) -> None:
    findings = redis_findings("redis://h", info, policy)

    assert all(finding.well for finding in findings) == well
    assert any(text in finding.text for finding in findings)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        pytest.param(exceptions.ConnectionError("Error 111"), "does not answer: start", id="off"),
        pytest.param(exceptions.OutOfMemoryError("OOM"), "is full", id="full"),
        pytest.param(exceptions.BusyLoadingError("LOADING"), "still loading", id="loading"),
        pytest.param(exceptions.InvalidResponse("HTTP/1.1"), "is not a Redis", id="a web server"),
        pytest.param(AttributeError("items"), "is not a Redis", id="another server"),
        pytest.param(OSError(113, "No route"), "does not answer: start", id="no way"),
        pytest.param(
            exceptions.AuthenticationError("WRONGPASS"), "another user or password", id="password"
        ),
    ],
)
def test_a_redis_out_of_reach_is_told_with_what_helps(error: Exception, text: str) -> None:
    said = unreachable("redis://u:s3cret@h:6379/0", error)

    assert " at redis://h:6379/0 " in said
    assert text in said
    assert str(error) not in said
    assert "s3cret" not in said


def test_requests_that_killed_their_workers_are_told() -> None:
    assert dead_findings([]) == []
    (found,) = dead_findings(["job-2 1700000000000", "job-1 1690000000000"])
    assert "2 requests" in found.text
    assert "job-2 at 2023-11-14 22:13 UTC" in found.text


@pytest.mark.parametrize(
    ("checked", "used", "said"),
    [
        (2, 0, ""),
        (0, 0, "no Poe token in this configuration: pass the service's -t or --config"),
        (0, 2, "workers use 2 Poe tokens that this configuration does not have"),
        (1, 1, "workers use 1 Poe token that this configuration does not have"),
    ],
)
def test_tokens_that_could_not_be_checked_are_told(checked: int, used: int, said: str) -> None:
    assert unchecked_tokens(checked, used).startswith(said)
    assert bool(unchecked_tokens(checked, used)) == bool(said)
