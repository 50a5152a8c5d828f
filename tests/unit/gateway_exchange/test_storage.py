"""How many bytes of requests may be stored."""

from __future__ import annotations

import pytest

from gateway.config import GatewayConfig
from gateway.exchange.storage import MIB, most_stored


@pytest.mark.parametrize(
    ("settings", "maxmemory", "of_one", "in_all"),
    [
        pytest.param({}, 0, 128, 512, id="a Redis without a bound"),
        pytest.param({}, 2048, 256, 1024, id="half of Redis, and a quarter of that"),
        pytest.param({"max_stored_total": 100}, 2048, 25, 100, id="all is set"),
        pytest.param({"max_stored": 7}, 2048, 7, 1024, id="one is set"),
        pytest.param({"max_stored": 9, "max_stored_total": 5}, 0, 5, 5, id="one beyond all"),
    ],
)
def test_requests_get_a_part_of_redis_and_each_client_a_part_of_that(
    settings: dict[str, int], maxmemory: int, of_one: int, in_all: int
) -> None:
    config = GatewayConfig(**settings)  # type: ignore[arg-type]

    most = most_stored(config, maxmemory * MIB)

    assert most == (of_one * MIB, in_all * MIB)
