"""What a repeated signal means."""

from __future__ import annotations

import signal

import pytest

from runtime.signals import ECHO, StopSignals

NOW = 1_000.0
TERM, INT = signal.SIGTERM, signal.SIGINT


@pytest.mark.parametrize(
    ("heard", "impatient"),
    [
        pytest.param([(TERM, 0.0)], False, id="once"),
        pytest.param([(TERM, 0.0), (TERM, 0.1)], False, id="an echo"),
        pytest.param([(TERM, 0.0), (TERM, ECHO)], True, id="repeated"),
        pytest.param([(TERM, 0.0), (TERM, 0.9), (TERM, 1.1)], True, id="repeated for a while"),
        pytest.param([(TERM, 0.0), (INT, 60.0)], False, id="of everyone, then of the supervisor"),
        pytest.param([(TERM, 0.0), (INT, 60.0), (INT, 62.0)], True, id="and again"),
    ],
)
def test_only_a_later_repetition_is_impatience(
    heard: list[tuple[signal.Signals, float]], impatient: bool
) -> None:
    signals = StopSignals()

    told = [signals.is_impatient(number, NOW + at) for number, at in heard]

    assert told[-1] is impatient
    assert not any(told[:-1])
