"""What `poe2gpt check` makes of what it hears."""

from __future__ import annotations

import pytest
from redis import exceptions

from poe2gpt.check import TokenState, dead_findings, judged, redis_findings, table
from poe2gpt.serve import unreachable

GRANT = 1_893_456_000_000_000  # 2030-01-01 in microseconds


@pytest.mark.parametrize(
    ("status", "body", "state"),
    [
        pytest.param(200, b'{"current_point_balance": 1500}', "ok", id="well"),
        pytest.param(200, b'{"current_point_balance": 0}', "no points", id="poor"),
        pytest.param(200, b"<html>", "Poe's answer is not a balance", id="a page"),
        pytest.param(401, b"", "refused: the key is wrong or revoked", id="wrong key"),
        pytest.param(503, b"", "Poe answers with status 503", id="Poe is down"),
    ],
)
def test_a_token_is_well_only_with_points(status: int, body: bytes, state: str) -> None:
    found = judged("token-1", status, body)

    assert found.state == state
    assert found.well == (state == "ok")


def test_the_next_grant_is_told_in_utc() -> None:
    body = b"""{"current_point_balance": 1,
        "next_daily_grant_time": %d, "next_daily_grant_amount": 3000}"""

    found = judged("token-1", 200, body % GRANT)

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
        pytest.param(OSError(113, "No route"), "does not answer: start", id="no way"),
        pytest.param(
            exceptions.AuthenticationError("WRONGPASS"), "another user or password", id="password"
        ),
    ],
)
def test_a_redis_out_of_reach_is_told_with_what_helps(
    error: exceptions.RedisError | OSError, text: str
) -> None:
    said = unreachable("redis://u:s3cret@h:6379/0", error)

    assert said.startswith("Redis at redis://h:6379/0 ")
    assert text in said
    assert str(error) not in said
    assert "s3cret" not in said


def test_requests_that_killed_their_workers_are_told() -> None:
    assert dead_findings([]) == []
    (found,) = dead_findings(["job-2 1700000000000", "job-1 1690000000000"])
    assert "2 requests" in found.text
    assert "job-2 at 2023-11-14 22:13 UTC" in found.text
