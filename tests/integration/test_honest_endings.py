"""Poe fails when an answer has begun: the client is told, and Poe is not asked a second time."""

from __future__ import annotations

from tests.support.clients import ask
from tests.support.deployment import Deployment

LATE_FAILURES = ["Cut-3", "Fail-late", "Garbage", "Fail-late-insufficient_fund"]
"""The last one sets aside the token that meets it, and there is one for each client."""


async def test_an_answer_that_breaks_off_is_an_error_and_never_tried_again(
    deployment: Deployment,
) -> None:
    poe = await deployment.start_poe()
    await deployment.start_worker("--cool-down", "0", tokens="sim-a,sim-b")
    gateway = await deployment.start_gateway(config="statusHold = 0\n")
    told = []

    async with gateway.http() as http:
        for bot in LATE_FAILURES:
            streamed = await ask(http, bot, "hello")
            whole = await ask(http, bot, "hello", stream=False)
            told.append((bot, streamed, whole))

    for bot, streamed, whole in told:
        assert streamed.status == 200, bot
        assert streamed.code == whole.code, bot
        assert streamed.text, bot
        assert whole.status == (402 if "fund" in bot else 502), bot
        assert whole.headers["x-should-retry"] == "false", bot
    # Twice each: as often as it was asked.
    expected = [bot.casefold() for bot in LATE_FAILURES for _ in range(2)]
    assert [call.bot.casefold() for call in poe.record.calls] == expected
