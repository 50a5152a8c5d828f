"""How many files a process asks the system for."""

from __future__ import annotations

import resource

import pytest

from runtime.open_files import allow_many

NO_LIMIT = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "asked"),
    [
        pytest.param(1_024, 4_096, [(4_096, 4_096)], id="as far as it goes"),
        pytest.param(1_024, 1_048_576, [(65_536, 1_048_576)], id="no further than useful"),
        pytest.param(256, NO_LIMIT, [(65_536, NO_LIMIT)], id="without a hard limit"),
        pytest.param(100_000, 1_048_576, [], id="more than enough already"),
        pytest.param(NO_LIMIT, NO_LIMIT, [], id="no limit at all"),
        pytest.param(4_096, 4_096, [], id="nothing to gain"),
    ],
)
def test_the_limit_is_raised_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, asked: list[tuple[int, int]]
) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: calls.append(limits))

    allow_many()

    assert calls == asked


@pytest.mark.parametrize("error", [ValueError("not allowed"), OSError(22, "Invalid argument")])
def test_a_system_that_refuses_is_no_reason_to_stop(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    calls = []

    def refuse(_: int, limits: tuple[int, int]) -> None:
        calls.append(limits)
        raise error

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, NO_LIMIT))
    monkeypatch.setattr(resource, "setrlimit", refuse)

    allow_many()

    assert calls == [(65_536, NO_LIMIT)]
