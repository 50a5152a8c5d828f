"""states.lua: what is known of tokens, told without those of which nothing is."""

from __future__ import annotations

from contract import scripts as sources
from tests.support.scripts import Scripts


def test_only_those_of_which_something_is_known_are_told(scripts: Scripts) -> None:
    scripts.release("g1", token="parked", park=5000, strikes=2)
    scripts.release("g2", token="unfit", unfit_model="Short", unfit=1000)
    scripts.release("g3", token="unfit", unfit_model="Long", unfit=9000)
    scripts.now += 2000
    states = scripts.redis.register_script(sources.source("states"))

    told = states(args=[scripts.now, "nothing", "parked", "unfit"])

    assert told == [[2, 3000, b"no points", 2, []], [3, 0, b"", 0, [b"Long", 7000]]]
