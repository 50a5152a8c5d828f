"""When a gateway takes it that no worker is left."""

from __future__ import annotations

from contract.messages import TokenCounts, WorkerReport
from gateway.queue.fleet import Fleet, FleetView


def _seen(*looks: tuple[float, bool], lease_life: float = 6.0) -> FleetView:
    """A view after looks at these instants, each with a live worker or without."""
    worker = WorkerReport("w1", "1", TokenCounts(), 0, lease_life=lease_life)
    view = FleetView()
    for at, lives in looks:
        view.see(Fleet(at=at, workers=(worker,) if lives else ()))
    return view


def _each_second(first: int, last: int, *, lives: bool) -> list[tuple[float, bool]]:
    return [(float(at), lives) for at in range(first, last + 1)]


def test_a_while_without_any_worker_tells() -> None:
    assert not _seen(*_each_second(1000, 1006, lives=False)).is_vacant
    assert _seen(*_each_second(1000, 1007, lives=False)).is_vacant


def test_one_live_worker_is_enough() -> None:
    assert not _seen(*_each_second(1000, 1010, lives=False), (1011.0, True)).is_vacant


def test_after_an_outage_workers_have_time_to_come_back() -> None:
    before = _each_second(1000, 1003, lives=True)
    assert not _seen(*before, *_each_second(1020, 1035, lives=False)).is_vacant
    assert _seen(*before, *_each_second(1020, 1036, lives=False)).is_vacant


def test_workers_that_seldom_send_a_heartbeat_have_more_time() -> None:
    before = _each_second(1000, 1003, lives=True)
    after = _each_second(1020, 1040, lives=False)
    assert not _seen(*before, *after, lease_life=60.0).is_vacant
