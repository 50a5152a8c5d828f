"""Workers against a simulated Poe: jobs go in by the queue, answers come out of the log."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
import pytest
from redis.asyncio import Redis

from contract.messages import FailureKind, Finished, Text, is_terminal
from simulated_poe import Call, SimulatedPoe
from tests.support.deployment import Child, Deployment, RedisServer, eventually
from tests.support.keys import keys
from tests.support.worker_alone import Asking, failure, said, token, tokens_of, working
from worker.config import PoeToken
from worker.policy.run_state import Stop
from worker.queue.queue import Queue
from worker.run import JobRun

NOW = 0.0
"""Any instant will do to count tokens, whatever they can do then."""

IDLE = {"waiting": 0, "running": 0, "open": 0}


@pytest.fixture
async def poe() -> AsyncIterator[SimulatedPoe]:
    async with SimulatedPoe() as poe:
        yield poe


@pytest.fixture
def asking(redis: Redis) -> Asking:
    return Asking(redis)


def _calls(poe: SimulatedPoe) -> list[Call]:
    return list(poe.record.calls)


@asynccontextmanager
async def _all_working(
    redis_server: RedisServer, poe: SimulatedPoe, tokens: list[PoeToken], workers: int
) -> AsyncIterator[None]:
    """So many workers of one config, each of which owns its share."""
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(
                working(redis_server.url, poe.url, *tokens, name=f"w{n}")
            )
            for n in range(workers)
        ]

        def dealt() -> bool:
            shares: list[int] = [sum(msgspec.structs.astuple(s.pool.counts(NOW))) for s in services]
            return sum(shares) == len(tokens) and max(shares) - min(shares) <= 1

        await eventually(dealt, "an even share for everyone")
        yield


async def _idle(asking: Asking) -> None:
    async def nothing_runs() -> bool:
        return await asking.counts() == IDLE

    await eventually(nothing_runs, "the end of all jobs")


# Answers.


async def test_an_answer_is_in_the_log_with_how_it_began(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    async with working(redis_server.url, poe.url, token("sim-a"), name="w7"):
        events = await asking.answer(await asking.ask("Echo", "hello world"))

    assert tokens_of(events) == ["sim-a"]
    assert said(events) == "hello world"
    assert events[-1] == Finished()
    assert await asking.counts() == IDLE


async def test_four_workers_answer_each_of_many_jobs_once(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    tokens = [token(f"sim-{n}", max_in_flight=3) for n in range(7)]

    async with _all_working(redis_server, poe, tokens, 4):
        jobs = [await asking.ask("Echo", f"number {n}") for n in range(80)]
        answers = [await asking.answer(job) for job in jobs]

    assert [said(events) for events in answers] == [f"number {n}" for n in range(80)]
    assert [len([e for e in events if is_terminal(e)]) for events in answers] == [1] * 80
    assert len(_calls(poe)) == 80
    assert max(account.most_in_flight for account in poe.record.accounts.values()) <= 3


async def test_idle_tokens_take_turns(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    tokens = [token(f"sim-{n}") for n in range(3)]
    # One that lost its lease for a moment would be passed over.
    async with working(redis_server.url, poe.url, *tokens, lease_life=60.0):
        for _ in range(9):
            await asking.answer(await asking.ask("Echo"))

    assert Counter(call.key for call in _calls(poe)) == {f"sim-{n}": 3 for n in range(3)}


async def test_the_choices_of_a_request_share_what_is_asked_for(
    redis_server: RedisServer, redis: Redis
) -> None:
    # Given a request for three answers
    job = await Asking(redis).ask("Echo", choices=3)

    # When a worker takes one, and then the others
    async with Queue(redis_server.url, "w1", lease_life=1.0, max_attempts=2) as queue:
        jobs = [taken.job for count in (1, 9) for taken in await queue.jobs.dispatch(count)]

    # Then it holds the words once
    assert [each.id for each in jobs] == [job, f"{job}-1", f"{job}-2"]
    assert len({id(each.messages) for each in jobs}) == 1


# Tokens that fail.


async def test_a_bad_key_is_set_aside_for_all_workers_and_another_used(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking, redis: Redis
) -> None:
    tokens = [token("sim-bad"), token("sim-good")]

    async with working(redis_server.url, poe.url, *tokens, name="w1"):
        first = await asking.answer(await asking.ask("Echo"))
        # What the end of the call teaches is told behind the answer.
        await eventually(lambda: redis.hget(keys.token("id-sim-bad"), "state"), "the parking")
    async with working(redis_server.url, poe.url, *tokens, name="w2") as other:
        rest = [await asking.answer(await asking.ask("Echo")) for _ in range(5)]
        await eventually(lambda: other.pool.state("id-sim-bad") == "bad key", "the news")

    assert tokens_of(first) == ["sim-bad", "sim-good"]
    assert [tokens_of(events) for events in rest] == [["sim-good"]] * 5
    assert [call.key for call in _calls(poe)].count("sim-bad") == 1
    assert {said(events) for events in [first, *rest]} == {"hello"}


async def test_a_rate_limited_account_rests_and_its_job_waits(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    async with working(redis_server.url, poe.url, token("sim-a")):
        first = await asking.ask("Flaky-429")
        await eventually(lambda: _calls(poe) and _calls(poe)[0].ended, "the refusal")
        second = await asking.ask("Echo")
        answers = [await asking.answer(job) for job in (first, second)]

    refused, *others = sorted(_calls(poe), key=lambda call: call.started)
    assert [said(events) for events in answers] == ["hello", "hello"]
    assert len(others) == 2
    # Poe said: Retry-After: 2.
    assert all(call.started >= refused.started + 2 for call in others)


async def test_a_rate_limited_account_does_not_hold_up_a_job_that_another_can_serve(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    tokens = [token("sim-limited"), token("sim-good")]

    async with working(redis_server.url, poe.url, *tokens):
        events = await asking.answer(await asking.ask("Echo"))

    assert tokens_of(events) == ["sim-limited", "sim-good"]
    assert said(events) == "hello"


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_points_anywhere_is_a_failure_when_all_have_been_asked(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking, workers: int
) -> None:
    tokens = [token(f"sim-broke-{n}") for n in range(3)]

    async with _all_working(redis_server, poe, tokens, workers):
        events = await asking.answer(await asking.ask("Echo"))

    assert failure(events).kind is FailureKind.NO_POINTS
    assert not failure(events).charged
    assert sorted(call.key for call in _calls(poe)) == [t.secret for t in tokens]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_model_that_no_token_may_use_is_refused_once_by_each(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking, workers: int
) -> None:
    tokens = [token(f"sim-{n}") for n in range(4)]

    async with _all_working(redis_server, poe, tokens, workers):
        events = await asking.answer(await asking.ask("Fail-403"))

    assert failure(events).kind is FailureKind.MODEL_NOT_ALLOWED
    assert sorted(call.key for call in _calls(poe)) == [t.secret for t in tokens]


async def test_a_job_waits_for_a_token_that_suits_it_and_does_not_try_another_twice(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    unfit, cooling = token("sim-unfit"), token("sim-cooling", cool_down=1.5)

    async with working(redis_server.url, poe.url, unfit, cooling) as worker:
        for secret in ("sim-unfit", "sim-cooling"):
            assert secret in tokens_of(await asking.answer(await asking.ask("Echo")))
        worker.pool.mark_unfit(unfit.id, "Echo", float("inf"))
        events = await asking.answer(await asking.ask("Echo", "the third"))

    assert tokens_of(events) == ["sim-cooling"]
    assert [call.key for call in _calls(poe)].count("sim-unfit") == 1


# An upstream that fails.


@pytest.mark.parametrize(
    "cool_down", [pytest.param(0.0, id="token free at once"), pytest.param(1.0, id="in between")]
)
async def test_an_upstream_that_fails_is_tried_again_twice_and_no_more(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking, cool_down: float
) -> None:
    async with working(redis_server.url, poe.url, token("sim-a", cool_down=cool_down)):
        events = await asking.answer(await asking.ask("Fail-500"))

    assert failure(events).kind is FailureKind.UPSTREAM_FAILED
    assert len(_calls(poe)) == 3
    assert tokens_of(events) == ["sim-a"] * 3


async def test_an_upstream_that_recovers_answers(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    async with working(redis_server.url, poe.url, token("sim-a")):
        events = await asking.answer(await asking.ask("Flaky-500"))

    assert said(events) == "hello"
    assert len(_calls(poe)) == 2


@pytest.mark.parametrize("bot", ["Fail-late", "Cut-3", "Fail-late-insufficient_fund"])
async def test_nothing_is_tried_again_behind_output(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking, bot: str
) -> None:
    async with working(redis_server.url, poe.url, token("sim-a"), token("sim-b")):
        events = await asking.answer(await asking.ask(bot))

    assert failure(events).charged
    assert any(isinstance(event, Text) for event in events)
    assert len(_calls(poe)) == 1


async def test_a_request_that_fails_everywhere_is_made_once(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    async with working(redis_server.url, poe.url, token("sim-a"), token("sim-b")):
        events = await asking.answer(await asking.ask("Fail-400"))

    assert failure(events).kind is FailureKind.INVALID_REQUEST
    assert len(_calls(poe)) == 1


# Clients that leave.


async def test_a_client_that_leaves_closes_its_call_and_frees_the_slot(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    async with working(redis_server.url, poe.url, token("sim-a", max_in_flight=1)):
        left = await asking.ask("Count", "count to 5000 every 20ms")
        await asking.begun(left)
        waiting = await asking.ask("Echo", "next")
        told = await asking.cancel(left)
        ended, answered = await asking.answer(left), await asking.answer(waiting)
        await eventually(lambda: _calls(poe)[0].ended, "the end of the call")

    assert told == "told"
    assert failure(ended).kind is FailureKind.CANCELLED
    assert said(answered) == "next"
    assert [call.outcome for call in _calls(poe)] == ["client_left", "answered"]


async def test_a_client_that_leaves_before_the_first_word_closes_its_call_too(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    async with working(redis_server.url, poe.url, token("sim-a")):
        job = await asking.ask("Silent", "wait 30")
        await eventually(lambda: _calls(poe), "the call")
        await asking.cancel(job)
        await asking.answer(job)
        await eventually(lambda: _calls(poe)[0].ended, "the end of the call")

    assert _calls(poe)[0].outcome == "client_left"
    assert await asking.counts() == IDLE


async def test_a_client_that_leaves_the_queue_costs_nothing(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    job = await asking.ask("Echo")
    told = await asking.cancel(job)

    async with working(redis_server.url, poe.url, token("sim-a")):
        await asking.answer(await asking.ask("Echo", "another"))

    assert told == "dropped"
    assert len(_calls(poe)) == 1


async def test_a_client_that_leaves_the_moment_its_job_is_taken_blocks_no_token(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    only = token("sim-a", max_in_flight=1)

    async with working(redis_server.url, poe.url, only) as worker:
        await asking.answer(await asking.ask("Echo"))
        worker.pool.park(only.id, float("inf"), "the test takes the job itself")
        job = await asking.ask("Echo")
        (taken,) = await worker.queue.jobs.dispatch(1)
        worker.pool.unpark(only.id)
        lent = worker.pool.acquire(asyncio.get_running_loop().time())
        assert lent == only
        run = JobRun(worker, taken)
        run.task = asyncio.create_task(run.run(only))
        run.stop(Stop.CLIENT_LEFT)
        await run.task
        after = await asking.answer(await asking.ask("Echo", "after"))

    assert failure(await asking.events(job)).kind is FailureKind.CANCELLED
    assert said(after) == "after"
    assert len(_calls(poe)) == 2


# Redis that fails.


async def test_an_answer_goes_on_where_it_was_when_redis_is_back(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking
) -> None:
    assert redis_server.child is not None

    async with working(redis_server.url, poe.url, token("sim-a")):
        job = await asking.ask("Count", "count to 60 every 20ms")
        await asking.begun(job)
        await redis_server.child.stop(signal.SIGTERM)
        await redis_server.start()
        events = await asking.answer(job)

    assert said(events).split() == [str(n) for n in range(1, 61)]
    assert events[-1] == Finished()
    assert len(_calls(poe)) == 1


async def test_a_job_whose_dispatch_was_never_heard_of_is_not_lost(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking, redis: Redis
) -> None:
    only = token("sim-a")

    async with working(redis_server.url, poe.url, only) as worker:
        await asking.answer(await asking.ask("Echo"))
        worker.pool.park(only.id, float("inf"), "the test takes the job itself")
        job = await asking.ask("Echo", "unheard")
        await worker.queue.jobs.dispatch(1)
        worker.pool.unpark(only.id)

        async def answered_after_a_fault() -> bool:
            await redis.client_kill_filter(_type="normal", skipme=True)
            await asyncio.sleep(0.3)
            return bool(await asking.events(job))

        await eventually(answered_after_a_fault, "the answer")
        events = await asking.answer(job)

    assert said(events) == "unheard"
    assert len(_calls(poe)) == 2


# Workers that stop. These are real processes, as `poe2gpt worker` starts them.

CONFIG = "coolDown = 0\nleaseLife = 2.0\n"


async def _worker(deployment: Deployment) -> Child:
    return await deployment.start_worker(config=CONFIG, tokens="sim-one")


async def test_a_worker_that_is_told_to_stop_finishes_what_runs_and_takes_nothing_new(
    deployment: Deployment, asking: Asking
) -> None:
    poe = await deployment.start_poe()
    worker = await _worker(deployment)
    running = await asking.ask("Count", "count to 100 every 20ms")
    await asking.begun(running)

    worker.send(signal.SIGTERM)

    async def holds_no_lease() -> bool:
        (lease,) = [key async for key in asking.redis.scan_iter(keys.lease("*"))]
        return float(await asking.redis.hget(lease, "expires")) == 0

    await eventually(holds_no_lease, "the drain")
    queued = await asking.ask("Echo", "for another")
    events = await asking.answer(running)
    async with asyncio.timeout(20):
        status = await worker.process.wait()

    assert status == 0
    assert said(events).split() == [str(n) for n in range(1, 101)]
    assert await asking.state(queued) == "queued"
    assert len(_calls(poe)) == 1
    assert not await asking.redis.exists(keys.workers)


async def test_an_idle_worker_does_not_wait_for_a_job_before_it_stops(
    redis_server: RedisServer, poe: SimulatedPoe, asking: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.queue.bell.BELL_WAIT", 3600.0)

    async with working(redis_server.url, poe.url, token("sim-a")) as worker:
        await asking.answer(await asking.ask("Echo"))

        async def is_listening() -> bool:
            clients = await asking.redis.client_list()
            return any(client["cmd"] == "brpop" for client in clients)

        await eventually(is_listening, "the wait for a job")
        worker.drain()

    assert not await asking.redis.exists(keys.workers)


async def test_a_job_of_a_killed_worker_runs_elsewhere_if_it_had_not_begun(
    deployment: Deployment, asking: Asking
) -> None:
    poe = await deployment.start_poe()
    first = await _worker(deployment)
    job = await asking.ask("Silent", "wait 2")
    await eventually(lambda: asking.events(job), "the word that it has begun")
    await eventually(lambda: _calls(poe), "the call")

    await first.stop(signal.SIGKILL)
    await _worker(deployment)
    events = await asking.answer(job)

    assert events[-1] == Finished()
    assert len(tokens_of(events)) == 2
    assert len({record.epoch for record in await asking.records(job)}) == 2
    assert len(_calls(poe)) == 2
    await _idle(asking)


async def test_a_job_of_a_killed_worker_fails_if_it_had_begun(
    deployment: Deployment, asking: Asking
) -> None:
    poe = await deployment.start_poe()
    first = await _worker(deployment)
    job = await asking.ask("Count", "count to 5000 every 20ms")
    await asking.begun(job)
    # Two workers of one token: the second waits, and sees the first one die.
    await _worker(deployment)

    await first.stop(signal.SIGKILL)
    events = await asking.answer(job)

    assert failure(events).kind is FailureKind.INTERRUPTED
    assert failure(events).charged
    assert len(_calls(poe)) == 1
    await _idle(asking)


async def test_a_worker_leaves_nothing_behind_but_what_is_meant_to_last(
    deployment: Deployment, asking: Asking
) -> None:
    await deployment.start_poe()
    worker = await _worker(deployment)
    for bot in ("Echo", "Fail-500", "Fail-400", "Flaky-500", "Cut-3"):
        await asking.answer(await asking.ask(bot))

    await worker.stop(signal.SIGTERM)

    redis = asking.redis
    lasting = {k.decode() async for k in redis.scan_iter() if await redis.pttl(k) < 0}
    assert {key for key in lasting if not key.startswith(keys.lease(""))} <= {
        keys.totals,
        keys.client("ann"),
        keys.jobs("ann"),
        keys.bell,
        keys.clock,
        keys.ledger,
    }
