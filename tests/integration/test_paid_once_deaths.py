"""A worker that stops while Poe is silent: its jobs keep to the table of docs/upstreams.md, too."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

import httpx
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from contract.messages import Event, FailureKind, Finished
from runtime.signals import ECHO
from simulated_poe import SimulatedPoe
from simulated_poe.ask import conversation_of
from tests.support.deployment import Child, Deployment, Gateway, eventually, running_redis
from tests.support.keys import keys
from tests.support.worker_alone import Asking, failure

How = Literal["killed", "frozen", "drained"]

SENT, ANSWERED = "Silent", "Silent-open"
"""Bots that say nothing until Poe is told to hurry: not even the status, or that alone."""

CONFIG = "coolDown = 0\nmaxInFlight = 100\nleaseLife = 2\n"
CHAT = '[models."Silent"]\nprotocol = "openai"\n[models."Silent-open"]\nprotocol = "openai"\n'


@dataclass(frozen=True)
class Case:
    bot: str
    keyed: bool
    stream: bool
    calls: int

    @property
    def text(self) -> str:
        return f"wait 60, and keyed is {self.keyed}, and streamed is {self.stream}"


CASES = [
    Case(bot, keyed, stream, 2 if bot == SENT and not keyed else 1)
    for bot in (SENT, ANSWERED)
    for keyed in (False, True)
    for stream in (False, True)
]


@pytest.fixture
def asking(redis: Redis) -> Asking:
    return Asking(redis)


def _calls(poe: SimulatedPoe, case: Case) -> int:
    asked = [(call.bot.lower(), call.conversation) for call in poe.record.calls]
    return asked.count((case.bot.lower(), conversation_of([("user", case.text)])))


async def _stop(worker: Child, how: How) -> None:
    if how == "killed":
        await worker.stop(signal.SIGKILL)
    elif how == "frozen":
        worker.send(signal.SIGSTOP)
    else:
        worker.send(signal.SIGTERM)
        await eventually(lambda: "draining" in worker.output(), "the drain")
        # Sooner, it would be taken for an echo of the first.
        await asyncio.sleep(ECHO)
        worker.send(signal.SIGTERM)


async def _notes(asking: Asking, jobs: list[str]) -> list[str]:
    return [(await asking.redis.hget(keys.job(job), "call") or b"").decode() for job in jobs]


@pytest.mark.parametrize(
    ("how", "models"),
    [
        pytest.param("killed", "", id="killed, bot"),
        pytest.param("killed", CHAT, id="killed, chat"),
        pytest.param("frozen", "", id="frozen, bot"),
        pytest.param("drained", CHAT, id="drained, chat"),
    ],
)
async def test_what_was_sent_is_repeated_once_without_a_key_and_what_was_answered_never(
    deployment: Deployment, asking: Asking, how: How, models: str
) -> None:
    poe = await deployment.start_poe()
    first = await deployment.start_worker(config=CONFIG + models)
    jobs = [
        await asking.ask(case.bot, case.text, keyed=case.keyed, stream=case.stream)
        for case in CASES
    ]
    expected = ["answered" if case.bot == ANSWERED else "sent" for case in CASES]

    async def noted() -> bool:
        return await _notes(asking, jobs) == expected

    await eventually(noted, "the notes of all calls")
    assert [_calls(poe, case) for case in CASES] == [1] * len(CASES)
    await deployment.start_worker(config=CONFIG + models)
    await _stop(first, how)
    repeated = [case.calls for case in CASES]
    await eventually(lambda: [_calls(poe, case) for case in CASES] == repeated, "the repetitions")
    poe.hurry.set()
    answers = await asyncio.gather(*map(asking.answer, jobs))

    assert [_calls(poe, case) for case in CASES] == repeated
    for case, events in zip(CASES, answers, strict=True):
        _assert_told(case, events)
    if how == "frozen":
        first.send(signal.SIGCONT)
        await eventually(lambda: all(call.ended for call in poe.record.calls), "the old calls")
        assert [_calls(poe, case) for case in CASES] == repeated


def _assert_told(case: Case, events: list[Event]) -> None:
    if case.calls == 2:
        assert events[-1] == Finished()
    else:
        assert failure(events).kind is FailureKind.INTERRUPTED
        assert failure(events).charged


async def test_a_job_whose_workers_die_while_poe_is_silent_is_asked_twice_in_all(
    deployment: Deployment, asking: Asking
) -> None:
    poe = await deployment.start_poe()
    config = CONFIG + "maxAttempts = 5\n"
    worker = await deployment.start_worker(config=config)
    job = await asking.ask(SENT, "wait 60")
    for calls in (1, 2):
        await eventually(lambda calls=calls: len(poe.record.calls) == calls, f"call {calls}")
        following = await deployment.start_worker(config=config)
        await worker.stop(signal.SIGKILL)
        worker = following

    events = await asking.answer(job)

    assert failure(events).kind is FailureKind.INTERRUPTED
    assert len(poe.record.calls) == 2


async def test_a_worker_that_dies_between_two_tries_leaves_the_rest_of_them(
    deployment: Deployment, asking: Asking
) -> None:
    poe = await deployment.start_poe()
    worker = await deployment.start_worker(config=CONFIG)
    job = await asking.ask("Fail-503", keyed=True)

    async def failed_once() -> bool:
        return bool(await asking.redis.hget(keys.job(job), "failures") == b"1")

    await eventually(failed_once, "the first failure")
    await deployment.start_worker(config=CONFIG)
    await worker.stop(signal.SIGKILL)
    events = await asking.answer(job)

    assert failure(events).kind is FailureKind.UPSTREAM_FAILED
    assert len(poe.record.calls) == 3


# A gateway and a worker that live through the rest.

Whole = tuple[SimulatedPoe, Gateway]

living = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Whole]:
    async with running_redis() as server:
        deployment = Deployment(tmp_path_factory.mktemp("whole"), server)
        try:
            poe = await deployment.start_poe()
            await deployment.start_worker(config=CONFIG)
            yield poe, await deployment.start_gateway()
        finally:
            await deployment.close()


@pytest.mark.parametrize(("keyed", "most"), [(False, 4), (True, 2)], ids=["no key", "keyed"])
@living
async def test_each_of_two_choices_keeps_to_the_rule_for_itself(
    whole: Whole, keyed: bool, most: int
) -> None:
    poe, gateway = whole
    poe.record.clear()
    body = {"model": "Script", "n": 2, "messages": [{"role": "user", "content": '[{"cut":true}]'}]}
    async with gateway.http() as http:
        answer = await _posted(http, body, keyed)
        calls = len(poe.record.calls)
        again = await _posted(http, body, keyed)

    assert answer.status_code == again.status_code == 502
    assert answer.headers["x-should-retry"] == "false"
    # The first to fail ends the other, which may so be spared its call.
    assert most / 2 <= calls <= most
    # Who comes again with the key is told of the same failure.
    assert (len(poe.record.calls) == calls) is keyed


async def _posted(http: httpx.AsyncClient, body: object, keyed: bool) -> httpx.Response:
    headers = {"Idempotency-Key": "one"} if keyed else {}
    return await http.post("/v1/chat/completions", json=body, headers=headers)


@pytest.mark.parametrize("stream", [False, True])
@living
async def test_an_answer_without_text_is_a_200_with_empty_content(
    whole: Whole, stream: bool
) -> None:
    _, gateway = whole
    messages = [{"role": "user", "content": "hello"}]
    body = {"model": "Empty", "stream": stream, "messages": messages}
    async with gateway.http() as http:
        answer = await _posted(http, body, keyed=False)

    assert answer.status_code == 200
    if stream:
        assert '"finish_reason":"stop"' in answer.text
        assert answer.text.endswith("data: [DONE]\n\n")
    else:
        assert answer.json()["choices"][0]["message"]["content"] == ""
