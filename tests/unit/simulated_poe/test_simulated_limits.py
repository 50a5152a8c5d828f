"""Whether the witness sees what it must, and nothing else."""

from __future__ import annotations

import pytest

from simulated_poe import KeySettings, Record, Settings
from simulated_poe.accounts import holder_of
from simulated_poe.record import Call

KEY = "sim-a"


def begin(record: Record, settings: Settings, now: float, key: str = KEY) -> Call:
    holder = holder_of(key, settings)
    assert holder is not None
    call = record.open(key, "bot", "echo", now, wall=0.0)
    record.judge(call, holder)
    record.start(call, holder)
    return call


def run(record: Record, settings: Settings, now: float, key: str = KEY) -> None:
    record.end(begin(record, settings, now, key), "answered", now)


@pytest.mark.parametrize(
    ("settings", "starts", "kinds"),
    [
        pytest.param(Settings(rate_limit=2), (0, 1, 60), [], id="the-first-start-left-the-window"),
        pytest.param(Settings(rate_limit=2), (0, 1, 59), ["rate"], id="one-too-many-in-the-window"),
        pytest.param(
            Settings(rate_limit=2, window=1), (0, 0.5, 1.0), [], id="a-window-of-one-second"
        ),
        pytest.param(
            Settings(rate_limit=2, tolerance=0.5), (0, 1, 59.75), [], id="early-but-tolerated"
        ),
        pytest.param(Settings(rate_limit=None), range(600), [], id="no-rate-limit"),
        pytest.param(Settings(), [0.0] * 500, [], id="as-many-as-poe-allows"),
        pytest.param(Settings(), [0.0] * 501, ["rate"], id="one-more-than-poe-allows"),
        pytest.param(Settings(cool_down=3), (0, 3, 6), [], id="cooled-down"),
        pytest.param(Settings(cool_down=3), (0, 2.5), ["cooldown"], id="not-cooled-down"),
        pytest.param(Settings(cool_down=3, tolerance=0.5), (0, 2.5), [], id="nearly-cooled-down"),
        pytest.param(
            Settings(cool_down=90), (0, 80), ["cooldown"], id="a-cooldown-longer-than-the-window"
        ),
        pytest.param(
            Settings(rate_limit=1, cool_down=3), (0, 1), ["rate", "cooldown"], id="two-at-once"
        ),
    ],
)
def test_starts_that_limits_forbid_are_violations(
    settings: Settings, starts: list[float], kinds: list[str]
) -> None:
    record = Record()

    for now in starts:
        run(record, settings, now)

    assert [violation.kind for violation in record.violations] == kinds


@pytest.mark.parametrize(
    ("tolerance", "first_ends", "kinds"),
    [
        pytest.param(0.0, 0.5, [], id="ended-before"),
        pytest.param(0.0, 2.0, ["concurrency"], id="ended-after"),
        pytest.param(0.0, None, ["concurrency"], id="has-not-ended"),
        pytest.param(0.5, 1.25, [], id="its-end-was-noticed-late"),
        pytest.param(0.5, 1.75, ["concurrency"], id="ended-too-late"),
    ],
)
def test_two_calls_at_once_are_one_too_many(
    tolerance: float, first_ends: float | None, kinds: list[str]
) -> None:
    settings = Settings(max_in_flight=1, tolerance=tolerance)
    record = Record()
    first = begin(record, settings, 0.0)
    if first_ends is not None and first_ends < 1.0:
        record.end(first, "answered", first_ends)

    begin(record, settings, 1.0)
    if first_ends is not None:
        record.end(first, "client_left", first_ends)

    assert [violation.kind for violation in record.violations] == kinds


def test_two_keys_of_one_account_share_its_limits() -> None:
    settings = Settings(cool_down=3, keys={"k1": "alice", "k2": KeySettings("alice"), "k3": "bob"})
    record = Record()

    for key in ("k1", "k3", "k2"):
        run(record, settings, 0.0, key)

    (violation,) = record.violations
    assert (violation.account, violation.call, violation.kind) == ("alice", 3, "cooldown")


def test_a_key_may_have_limits_of_its_own() -> None:
    settings = Settings(keys={"k1": KeySettings("alice", rate_limit=1), "k2": "bob"})
    record = Record()

    for key in ("k1", "k2", "k1", "k2"):
        run(record, settings, 0.0, key)

    assert [(v.account, v.kind) for v in record.violations] == [("alice", "rate")]


def test_of_several_endings_the_first_one_counts() -> None:
    record = Record()
    call = begin(record, Settings(), 0.0)

    record.end(call, "answered", 1.0)
    record.end(call, "client_left", 2.0)

    assert (call.outcome, call.ended) == ("answered", 1.0)
    assert record.accounts[call.account or ""].in_flight == 0


def test_a_call_that_ends_after_the_record_was_cleared_changes_nothing() -> None:
    record = Record()
    call = begin(record, Settings(), 0.0)
    record.clear()
    begin(record, Settings(), 1.0)

    record.end(call, "answered", 2.0)

    assert [account.in_flight for account in record.accounts.values()] == [1]


def test_nothing_that_is_shown_contains_a_key() -> None:
    record = Record()
    run(record, Settings(), 0.0, "sim-very-secret")

    shown = f"{record.shown()} {record!r} {record.calls!r} {record.accounts!r}"

    assert "very-secret" not in shown
