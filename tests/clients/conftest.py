from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients.service import ONE_AT_A_TIME, Service, running_service
from tests.support.deployment import KEY

_KEYS = f"""
allowAnyBot = true

[[accessTokens]]
key = "{KEY}"

[[accessTokens]]
key = "{ONE_AT_A_TIME}"
maxConcurrent = 1
"""


@pytest.fixture(scope="package")
def service() -> Iterator[Service]:
    """One service for all clients."""
    with running_service(_KEYS) as running:
        yield running
