"""Accounts are dealt into batches, and a lease is believed in no longer than it can be proved."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.policy.leases import MAX_BATCHES, Lease, Leases, deal

NOW = 1000.0

accounts_ = st.lists(st.text("abc0123", min_size=1, max_size=6), max_size=300)


@pytest.mark.parametrize("count", [0, 1, 7, MAX_BATCHES])
def test_a_few_accounts_have_a_batch_each(count: int) -> None:
    accounts = [f"a{n}" for n in range(count)]

    assert deal(accounts) == {account: account for account in accounts}


@pytest.mark.parametrize("count", [MAX_BATCHES + 1, 300, 1000])
def test_many_accounts_share_batches_evenly(count: int) -> None:
    sizes = Counter(deal(f"a{n}" for n in range(count)).values())

    assert len(sizes) == MAX_BATCHES
    assert max(sizes.values()) - min(sizes.values()) <= 1


@given(accounts=accounts_, data=st.data())
def test_workers_deal_alike_in_whatever_order_they_read_their_config(
    accounts: list[str], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(accounts))

    dealt = deal([*shuffled, *accounts])

    assert dealt == deal(accounts)
    assert set(dealt) == set(accounts)
    assert len(set(dealt.values())) <= MAX_BATCHES


def test_nothing_is_held_before_the_first_beat() -> None:
    leases = Leases(["a", "b"], life=6.0)

    assert leases.batches == ["a", "b"]
    assert leases.lease("a", NOW) is None


def test_a_beat_tells_which_accounts_are_ours() -> None:
    leases = Leases(["a", "b", "c"], life=6.0)

    ours = leases.renew({"a": 3, "c": 1, "unknown": 9}, asked=NOW)

    assert ours == {"a", "c"}
    assert leases.lease("a", NOW) == Lease("a", 3)
    assert leases.lease("b", NOW) is None


def test_all_accounts_of_a_batch_are_ours() -> None:
    names = [f"a{n:03}" for n in range(2 * MAX_BATCHES)]
    leases = Leases(names, life=6.0)

    batch = leases.batch_of("a005")

    ours = leases.renew({batch: 1}, asked=NOW)

    assert ours == {"a005", "a133"}
    assert leases.lease("a133", NOW) == Lease(batch, 1)


def test_a_batch_of_another_list_of_accounts_is_another_batch() -> None:
    names = [f"a{n:03}" for n in range(2 * MAX_BATCHES)]

    assert set(deal(names).values()).isdisjoint(deal(names[1:]).values())


def test_a_lease_lasts_from_the_asking_and_not_from_the_answer() -> None:
    leases = Leases(["a"], life=6.0)
    leases.renew({"a": 3}, asked=NOW)

    held = [leases.lease("a", now) for now in (math.nextafter(NOW + 6, 0), NOW + 6, NOW + 60)]

    assert held == [Lease("a", 3), None, None]


def test_what_the_next_beat_does_not_name_is_lost_at_once() -> None:
    leases = Leases(["a", "b"], life=6.0)
    leases.renew({"a": 1, "b": 1}, asked=NOW)

    ours = leases.renew({"b": 1}, asked=NOW + 2)

    assert ours == {"b"}
    assert leases.lease("a", NOW + 2) is None
    assert leases.lease("b", NOW + 7) == Lease("b", 1)


def test_another_list_of_accounts_keeps_the_leases_of_those_that_stay() -> None:
    leases = Leases(["a", "b"], life=6.0)
    leases.renew({"a": 1, "b": 2}, asked=NOW)

    leases.configure(["b", "c"])

    assert leases.batches == ["b", "c"]
    assert [leases.lease(account, NOW) for account in "abc"] == [None, Lease("b", 2), None]
    assert leases.renew({"b": 2, "c": 1}, asked=NOW + 1) == {"b", "c"}
