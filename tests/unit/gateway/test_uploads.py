"""The bytes of bodies that are under way."""

from __future__ import annotations

import pytest

from gateway.problems import Problem
from gateway.uploads import BODIES_OF_ALL, BODIES_OF_ONE, Uploads
from tests.support.openai_answers import status_of

LARGEST = 100
HERE, THERE = "192.0.2.1", "192.0.2.2"


def refused(uploads: Uploads, address: str, size: int) -> int:
    with uploads.upload(address) as upload, pytest.raises(Problem) as error:
        upload.add(size)
    return status_of(error.value)


def test_an_address_has_room_for_some_of_the_largest_bodies_and_no_more() -> None:
    uploads = Uploads(LARGEST)

    with uploads.upload(HERE) as upload, uploads.upload(THERE) as another:
        upload.add(BODIES_OF_ONE * LARGEST)
        another.add(LARGEST)
        assert refused(uploads, HERE, 1) == 429


def test_all_addresses_together_have_room_for_some_more() -> None:
    uploads = Uploads(LARGEST)

    for number in range(BODIES_OF_ALL):
        uploads.add(f"host-{number}", LARGEST)

    assert refused(uploads, HERE, 1) == 503


@pytest.mark.parametrize("dropped", [False, True])
def test_what_has_come_or_was_thrown_away_counts_no_longer(dropped: bool) -> None:
    uploads = Uploads(LARGEST)

    with uploads.upload(HERE) as upload:
        upload.add(LARGEST)
        if dropped:
            upload.drop()
            assert repr(uploads) == "Uploads(0 bytes of 0 addresses)"

    assert repr(uploads) == "Uploads(0 bytes of 0 addresses)"
