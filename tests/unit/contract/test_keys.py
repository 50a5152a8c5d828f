"""The names of everything in Redis, as the Lua scripts spell them too."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

from contract import scripts
from contract.keys import Keys

SCRIPTS = sorted(
    path.name.removesuffix(".lua")
    for path in (files("contract") / "lua").iterdir()
    if path.name != "lib.lua"
)


def test_the_keys_of_one_job_share_a_hash_tag() -> None:
    keys = Keys("any:")
    names = (keys.log("j1"), keys.job("j1"), keys.readers("j1"), keys.payload("j1"))

    assert [re.findall(r"\{(.*?)\}", name) for name in names] == [["j1"]] * 4


def test_every_name_begins_with_the_prefix() -> None:
    keys = Keys("any:")
    fixed = [value for name, value in vars(keys).items() if name != "prefix"]

    assert fixed
    assert all(name.startswith("any:") for name in fixed)


@pytest.mark.parametrize("name", ["lib", *SCRIPTS])
def test_a_script_takes_every_name_from_the_contract(name: str) -> None:
    text = (files("contract") / "lua" / f"{name}.lua").read_text()

    assert not re.findall(r"'[a-z0-9]*:[a-z{:]*'", text)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_of_two_deployments_differ_in_the_prefix_only(name: str) -> None:
    one, other = (scripts.source(name, prefix) for prefix in ("p2g:", "blue.p2g:"))

    assert "'blue.p2g:" in other
    assert other.replace("'blue.p2g:", "'p2g:") == one


@pytest.mark.parametrize(
    ("lua", "spelled"),
    [
        ("keys.ring", "'x:ring'"),
        ("get(keys.jobs(client))", "get(('x:jobs:' .. client))"),
        ("keys.job(ARGV[2])", "('x:job:{' .. ARGV[2] .. '}')"),
        ("keys.line(client, model)", "('x:line:' .. client .. ':' .. model)"),
        ("-- see contract/keys.py; all keys. Then", "-- see contract/keys.py; all keys. Then"),
    ],
)
def test_a_key_in_a_script_is_spelled_out(lua: str, spelled: str) -> None:
    assert scripts.with_keys(lua, Keys("x:")) == spelled


@pytest.mark.parametrize("lua", ["keys.nothing", "keys.job", "keys.job(a, b)", "keys.ring(a)"])
def test_a_key_that_the_contract_does_not_have_is_a_mistake(lua: str) -> None:
    with pytest.raises((AttributeError, TypeError)):
        scripts.with_keys(lua, Keys())
