"""Pages of long lists."""

from __future__ import annotations

import pytest

from admin.listing import MOST, Part, part_of

NAMES = [f"Key {n:03}" for n in range(2 * MOST + 50)]


def part(**query: str) -> Part[str]:
    return part_of(NAMES, query, lambda name: [name])


@pytest.mark.parametrize(
    ("page", "first", "last"),
    [
        *(("", 1, 100), ("1", 1, 100), ("2", 101, 200), ("3", 201, 250)),
        *(("4", 201, 250), ("99999999999", 1, 100), ("-1", 1, 100), ("0", 1, 100), ("²", 1, 100)),
    ],
)
def test_a_page_is_a_part_whatever_is_asked_for(page: str, first: int, last: int) -> None:
    found = part(page=page)

    assert (found.first, found.last) == (first, last)
    assert found.rows == NAMES[first - 1 : last]
    assert (found.found, found.all) == (250, 250)


def test_what_is_found_has_pages_of_its_own() -> None:
    found = part(find=" kEY 1 ", page="2")

    assert found.find == "kEY 1"
    assert found.rows == NAMES[100:200]
    assert found.page == 1
    assert not found.is_whole
    assert found.query(1) == "find=kEY+1&page=1"
    assert found.query(0) == found.query(2) == ""


def test_where_nothing_is_found_there_is_one_empty_page() -> None:
    found = part(find="nobody")

    assert (found.rows, found.found, found.query(1)) == ([], 0, "")
