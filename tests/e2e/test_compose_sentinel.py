"""compose.sentinel.yaml on a real Docker daemon: the primary is killed, and another takes over."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from .conftest import free_port
from .test_compose import NUMBERS, Stack, docker_answers, make_secrets

pytestmark = pytest.mark.timeout(600)

PATIENCE = 60.0
"""Seconds; sentinels wait for 5 of them before they believe that a server is gone."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if not docker_answers():
        pytest.skip("no Docker daemon answers, or it lacks Compose")
    secrets = make_secrets(tmp_path_factory.mktemp("sentinel") / "secrets")
    name, beside = f"poe2gpt-sentinel-{os.getpid()}", ("compose.sentinel.yaml",)
    stack = Stack(name, free_port(), secrets, beside)
    try:
        stack.compose("up", "--detach", "--build", "--wait", "--scale", "worker=2")
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "10")


def test_a_replica_takes_over_and_the_old_primary_follows_it(stack: Stack) -> None:
    assert stack.ask() == NUMBERS

    stack.compose("kill", "redis")
    statuses = [stack.answer().status_code]
    give_up = time.monotonic() + PATIENCE
    while statuses[-1] != 200 and time.monotonic() < give_up:
        statuses.append(stack.answer().status_code)
        time.sleep(0.5)
    assert stack.ask() == NUMBERS
    assert set(statuses) <= {200, 502, 503}

    stack.compose("up", "--detach", "--wait", "--scale", "worker=2")
    assert stack.redis("role").split()[0] == "slave"
    assert stack.ask() == NUMBERS
