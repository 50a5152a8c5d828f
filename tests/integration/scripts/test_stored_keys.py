"""add_key, change_key, rotate_key, remove_key, find_key and read_keys: keys in Redis."""

from __future__ import annotations

import msgspec
import pytest

from contract.calls.stored_keys import (
    AddKey,
    ChangeKey,
    FindKey,
    ReadKey,
    ReadKeys,
    RemoveKey,
    RotateKey,
)
from contract.stored_keys import StoredKey
from tests.support.scripts import Scripts

ANN, BEN = "a" * 16, "b" * 16
CREATED = b'"2027-03-01T12:00:00Z"'


def add(scripts: Scripts, id_: str, name: str, digest: str, **fields: bytes) -> bool:
    named = {"name": msgspec.json.encode(name), "created": CREATED, **fields}
    return scripts.run(AddKey(id_, digest, named))


def found(scripts: Scripts, digest: str) -> StoredKey | None:
    return scripts.run(FindKey(digest)).key


def keys_left(scripts: Scripts) -> set[bytes]:
    return {key for key in scripts.redis.keys("*") if key.startswith(b"p2g:key")}


def test_a_key_is_found_by_its_digest_and_by_no_other(scripts: Scripts) -> None:
    assert add(scripts, ANN, "Ann", "d1", weight=b"2.5", group=b'"lab"')

    key = found(scripts, "d1")

    assert key is not None
    assert (key.id, key.name, key.weight, key.group) == (ANN, "Ann", 2.5, "lab")
    assert found(scripts, "d2") is None
    assert found(scripts, ANN) is None


def test_that_a_key_was_ever_made_is_known_even_when_none_is_left(scripts: Scripts) -> None:
    assert not scripts.run(FindKey("")).is_any_made

    add(scripts, ANN, "Ann", "d1")
    made = scripts.run(FindKey("")).is_any_made
    scripts.run(RemoveKey(ANN))

    assert made
    assert scripts.run(FindKey("")).is_any_made


def test_two_keys_never_have_one_name(scripts: Scripts) -> None:
    add(scripts, ANN, "Ann", "d1")
    add(scripts, BEN, "Ben", "d2")

    assert not add(scripts, "c" * 16, "Ann", "d3")
    assert found(scripts, "d3") is None
    assert scripts.run(ChangeKey(BEN, {"name": b'"Ann"', "weight": b"9"})) == "name taken"
    ben = scripts.run(ReadKey("Ben"))
    assert ben is not None
    assert (ben.id, ben.weight) == (BEN, 1.0)


def test_adding_a_key_again_changes_nothing(scripts: Scripts) -> None:
    add(scripts, ANN, "Ann", "d1")
    before = keys_left(scripts)

    assert add(scripts, ANN, "Ann", "d1")
    assert keys_left(scripts) == before
    assert len(scripts.run(ReadKeys())) == 1


def test_a_renamed_key_keeps_its_id_and_frees_its_name(scripts: Scripts) -> None:
    add(scripts, ANN, "Ann", "d1")

    assert scripts.run(ChangeKey(ANN, {"name": b'"Anna"'})) == "changed"

    key = found(scripts, "d1")
    assert key is not None
    assert (key.id, key.name) == (ANN, "Anna")
    assert scripts.run(ReadKey("Ann")) is None
    assert add(scripts, BEN, "Ann", "d2")


def test_changes_of_different_settings_do_not_undo_each_other(scripts: Scripts) -> None:
    add(scripts, ANN, "Ann", "d1", weight=b"2.0", later=b"[1]")

    scripts.run(ChangeKey(ANN, {"weight": b"3.0"}))
    scripts.run(ChangeKey(ANN, {"group": b'"lab"'}))
    scripts.run(ChangeKey(ANN, {"weight": b""}))

    key = found(scripts, "d1")
    assert key is not None
    assert (key.weight, key.group) == (1.0, "lab")
    assert scripts.redis.hget(f"p2g:key:{ANN}", "later") == b"[1]"


def test_a_replaced_secret_is_valid_for_its_grace_and_not_beyond(scripts: Scripts) -> None:
    add(scripts, ANN, "Ann", "d1")

    assert scripts.run(RotateKey(ANN, "d2", 60.0))
    retiring = scripts.run(ReadKeys())[0].retiring

    assert [end.timestamp() * 1000 for end in retiring] == [scripts.now + 60_000]
    assert found(scripts, "d2")
    scripts.now += 59_999
    assert found(scripts, "d1")
    scripts.now += 1
    assert found(scripts, "d1") is None
    assert found(scripts, "d2")
    assert scripts.run(ReadKeys())[0].retiring == ()


def test_without_a_grace_no_other_secret_is_valid_whatever_was_rotated_before(
    scripts: Scripts,
) -> None:
    add(scripts, ANN, "Ann", "d1")
    scripts.run(RotateKey(ANN, "d2", 3600.0))

    scripts.run(RotateKey(ANN, "d3", 0.0))

    assert [bool(found(scripts, digest)) for digest in ("d1", "d2", "d3")] == [False, False, True]
    assert scripts.redis.hlen(f"p2g:key-secrets:{ANN}") == 1


def test_a_longer_grace_does_not_prolong_what_was_ending(scripts: Scripts) -> None:
    add(scripts, ANN, "Ann", "d1")
    scripts.run(RotateKey(ANN, "d2", 10.0))

    scripts.run(RotateKey(ANN, "d3", 3600.0))
    scripts.now += 10_000

    assert found(scripts, "d1") is None
    assert found(scripts, "d2")


def test_rotating_again_after_a_lost_reply_changes_nothing(scripts: Scripts) -> None:
    add(scripts, ANN, "Ann", "d1")
    scripts.run(RotateKey(ANN, "d2", 60.0))
    before = scripts.redis.hgetall(f"p2g:key-secrets:{ANN}")

    scripts.now += 5000
    scripts.run(RotateKey(ANN, "d2", 60.0))

    assert scripts.redis.hgetall(f"p2g:key-secrets:{ANN}") == before


def test_a_removed_key_leaves_nothing_but_that_there_was_one(scripts: Scripts) -> None:
    add(scripts, ANN, "Ann", "d1")
    scripts.run(RotateKey(ANN, "d2", 60.0))

    assert scripts.run(RemoveKey(ANN))

    assert found(scripts, "d1") is found(scripts, "d2") is None
    assert keys_left(scripts) == {b"p2g:keys-made"}


@pytest.mark.parametrize(
    "call",
    [
        RemoveKey(ANN),
        RotateKey(ANN, "d", 0.0),
        ChangeKey(ANN, {"name": b'"Ann"'}),
    ],
)
def test_what_is_not_there_is_not_made(scripts: Scripts, call: object) -> None:
    reply = scripts.run(call)  # type: ignore[arg-type]

    assert reply in (False, "unknown")
    assert keys_left(scripts) == set()


def test_keys_are_read_in_pages_in_the_order_in_which_they_were_made(scripts: Scripts) -> None:
    for number in range(5):
        scripts.now += 1
        add(scripts, f"{9 - number:016x}", f"key {number}", f"d{number}")

    pages = [scripts.run(ReadKeys(start, 2)) for start in (0, 2, 4, 6)]

    assert [[key.name for key in page] for page in pages] == [
        ["key 0", "key 1"],
        ["key 2", "key 3"],
        ["key 4"],
        [],
    ]


def test_a_key_is_read_by_its_name_or_its_id(scripts: Scripts) -> None:
    add(scripts, ANN, 'The "A" of ключ', "d1")

    read = [scripts.run(ReadKey(each)) for each in ('The "A" of ключ', ANN, "the", "d1")]

    assert [key and key.id for key in read] == [ANN, ANN, None, None]
