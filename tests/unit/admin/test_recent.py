"""What ended in the last hour, by minute."""

from __future__ import annotations

from typing import Any

import pytest

from admin.recent import MINUTES, MOST_LATEST, Recent, quantile
from contract.ledger import Correction, Request

NOW = 1_700_000_040.0
MINUTE = 1_700_000_040
"""The beginning of a minute."""


def ended(at: float, wait: int = 0, **more: Any) -> Request:
    """Return the record of a request that has ended at this instant, after a second."""
    values = {"job": f"j{at}", "outcome": "finished", "sent": 1, **more}
    return Request(client="c", asked=int(at * 1000) - 1000, duration=1000, wait=wait, **values)


def recent(*records: Request | Correction) -> Recent:
    seen = Recent()
    for record in records:
        seen.add(record)
    return seen


def test_an_hour_without_anything_has_all_its_minutes() -> None:
    minutes = Recent().minutes(NOW)

    assert len(minutes) == MINUTES
    assert minutes[-1].at == MINUTE
    assert minutes[0].at == MINUTE - 59 * 60
    assert {(each.finished, each.failed, each.median_wait) for each in minutes} == {(0, 0, None)}


def test_a_request_counts_in_the_minute_of_its_end_by_how_it_ended() -> None:
    seen = recent(
        ended(NOW),
        ended(NOW + 19.9, outcome="cancelled"),
        ended(NOW - 0.001),
        ended(NOW - 61, outcome="upstream_failed"),
        Correction(job="j", points=5, at=int(NOW * 1000)),
    )

    *_, before, last, now = seen.minutes(NOW + 20)

    assert (before.failed, last.finished, now.finished, now.cancelled) == (1, 1, 1, 1)


def test_waits_are_those_of_requests_that_a_worker_had() -> None:
    seen = recent(
        *(ended(NOW, wait=wait) for wait in range(1000, 21_000, 1000)),
        ended(NOW, wait=600_000, sent=0, outcome="queue_timeout"),
    )

    minute = seen.minutes(NOW)[-1]

    assert (minute.median_wait, minute.long_wait) == (10, 19)
    assert seen.waits(NOW, 5) == (10, 19)
    assert seen.waits(NOW + 600, 5) == (None, None)


def test_what_is_old_is_forgotten() -> None:
    seen = recent(*(ended(NOW + 60 * minute) for minute in range(1000)))

    assert len(seen._minutes) <= 2 * MINUTES
    assert sum(each.finished for each in seen.minutes(NOW + 60 * 999)) == MINUTES


def test_the_latest_records_are_found_by_their_jobs() -> None:
    seen = recent(*(ended(NOW, job=f"j{n}") for n in range(MOST_LATEST + 1)))

    assert seen.of_job("j0") is None
    found = seen.of_job("j1")
    assert found is not None
    assert found.job == "j1"


@pytest.mark.parametrize(
    ("waits", "part", "seconds"),
    [([], 0.5, None), ([7], 0.5, 0.007), ([7], 0.95, 0.007), ([1, 2, 3, 4], 0.5, 0.002)],
)
def test_quantiles(waits: list[int], part: float, seconds: float | None) -> None:
    assert quantile(waits, part) == seconds
