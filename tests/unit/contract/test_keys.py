"""The names of everything in Redis, as the Lua scripts spell them too."""

from __future__ import annotations

import re

import pytest

from contract import keys, scripts

SCRIPTS = (
    *("enqueue", "dispatch", "append", "cancel", "requeue"),
    *("reclaim", "worker_heartbeat", "acquire", "extend", "release", "gateway_heartbeat", "clock"),
    *("claim", "withdraw", "note_call", "token_states"),
)

KNOWN = {
    key.removesuffix("x").removesuffix("{x}").removesuffix("x:x")
    for key in (
        *(keys.RING, keys.BELL, keys.AGAIN, keys.TOTALS, keys.WORKERS, keys.ABANDONED, keys.DEAD),
        *(keys.jobs("x"), keys.client("x"), keys.events("x"), keys.control("x")),
        *(keys.worker("x"), keys.owned("x"), keys.lease("x"), keys.token("x")),
        *(keys.unfit("x"), keys.uses("x"), keys.grants("x"), keys.served("x"), keys.GATEWAYS),
        *(keys.readers("x"), keys.asked("x"), keys.account("x"), keys.CLOCK),
        *(keys.payload("x"), keys.PAYLOADS),
    )
}
ONLY_IN_SCRIPTS = {"p2g:missed:", "p2g:knows:", "p2g:lanes", "p2g:lane:", "p2g:line:"}


def test_the_keys_of_one_job_share_a_hash_tag() -> None:
    tags = [re.findall(r"\{(.*?)\}", key) for key in (keys.log("j1"), keys.job("j1"))]

    assert tags == [["j1"], ["j1"]]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_uses_no_key_that_the_contract_does_not_name(name: str) -> None:
    used = set(re.findall(r"'(p2g:[a-z:]+)\{?'", scripts.source(name)))

    assert used <= KNOWN | ONLY_IN_SCRIPTS | {"p2g:job:", "p2g:log:"}
    assert used
