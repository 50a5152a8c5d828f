"""token_states.lua: what is known of tokens, told without those of which nothing is."""

from __future__ import annotations

from contract.calls.tokens import TokenState, TokenStates
from tests.support.scripts import Scripts


def test_only_those_of_which_something_is_known_are_told(scripts: Scripts) -> None:
    scripts.release("g1", token="parked", park=5000, strikes=2)
    scripts.release("g2", token="unfit", unfit_model="Short", unfit=1000)
    scripts.release("g3", token="unfit", unfit_model="Long", unfit=9000)
    scripts.now += 2000

    told = scripts.run(TokenStates(("nothing", "parked", "unfit")))

    assert told == {
        "parked": TokenState(3.0, "no points", 2, {}),
        "unfit": TokenState(0.0, "", 0, {"Long": 7.0}),
    }
