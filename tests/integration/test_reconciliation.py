"""What requests were settled at becomes what Poe says it has charged."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from contract.config import Given
from contract.ledger import Correction, LedgerRecord, Request, decode_ledger_record
from simulated_poe import Model, SimulatedPoe
from simulated_poe.accounts import Account, holder_of
from simulated_poe.charges import Charge
from simulated_poe.history import Row
from store.groups import Groups
from store.link import Link
from tests.support.deployment import Deployment, RedisServer, eventually
from tests.support.keys import keys
from tests.support.worker_alone import Asking, token, working
from worker.queue.reconciliations import State
from worker.service import Service

EVERY = 0.1
"""Seconds between two looks."""

MODELS = ("Dear", "Dearer", "Flat", "Echo", "Count", "Fail-late", "Fail-500")

_PATH = ("/v1/chat/completions",)


@dataclass
class Books:
    """A simulated Poe, and our ledger."""

    poe: SimulatedPoe
    asking: Asking
    redis: Any

    async def ledger(self) -> list[LedgerRecord]:
        entries = await self.redis.xrange(keys.ledger)
        return [decode_ledger_record(fields[b"r"]) for _, fields in entries]

    async def requests(self) -> list[Request]:
        return [each for each in await self.ledger() if isinstance(each, Request)]

    async def corrections(self) -> list[Correction]:
        return [each for each in await self.ledger() if isinstance(each, Correction)]

    async def corrected(self, rows: int) -> list[Correction]:
        """Wait until so many rows are in the ledger."""

        async def enough() -> list[Correction]:
            found = await self.corrections()
            return found if len(found) >= rows else []

        found: list[Correction] = await eventually(enough, f"{rows} corrections")
        return found

    async def call(self, bot: str, text: str = "3 words", **how: Any) -> str:
        """Ask, and wait for the answer's end."""
        job = await self.asking.ask(bot, text, **how)
        await self.asking.answer(job)
        return job

    def account(self, secret: str) -> Account:
        """Return the account of a key at Poe, which is there before its first call."""
        holder = holder_of(secret, self.poe.settings)
        assert holder is not None
        return self.poe.record.account(holder)

    @property
    def spent(self) -> int:
        """What Poe has charged all accounts."""
        return sum(account.spent for account in self.poe.record.accounts.values())


@pytest.fixture
async def books(redis: Redis) -> AsyncIterator[Books]:
    async with SimulatedPoe() as poe:
        for name, price in (("Dear", "0.0001"), ("Dearer", "0.0003")):
            poe.catalogue.add(
                Model(name, "long", endpoints=_PATH, price=price, completion_price="0.0005")
            )
        poe.catalogue.add(Model("Flat", "long", endpoints=_PATH, request_price="0.001"))
        yield Books(poe, Asking(redis), redis)


async def test_what_fifty_calls_at_once_were_settled_at_becomes_what_poe_charged(
    books: Books, redis_server: RedisServer
) -> None:
    # given three accounts, one of them with two tokens, whose history comes late at first
    secrets = {"sim-a1": "a", "sim-a2": "a", "sim-b": "b", "sim-c": "c"}
    tokens = [token(secret, account=account) for secret, account in secrets.items()]
    books.poe.settings.keys.update(secrets)
    books.poe.history.delay = 0.3

    # when ten clients ask at once, some of whom leave amid the answer, and workers look meanwhile
    async with (
        working(redis_server.url, books.poe.url, *tokens[:3], name="w1", reconcile_every=EVERY),
        working(redis_server.url, books.poe.url, *tokens, name="w2", reconcile_every=EVERY),
    ):
        jobs = [
            await books.asking.ask(
                MODELS[n % len(MODELS)],
                f"{n % 9} words",
                client=f"client{n % 10}",
                stream=n % 2 == 0,
            )
            for n in range(50)
        ]
        leaver = await books.asking.ask("Count", "500 every 10ms", client="leaver")
        await books.asking.begun(leaver)
        await books.asking.cancel(leaver)
        await asyncio.gather(*map(books.asking.answer, [*jobs, leaver]))
        rows = sum(len(account.rows) for account in books.poe.record.accounts.values())
        corrections = await books.corrected(rows)

    # then each row of Poe's is one request's, and the sums are Poe's
    requests = {each.job: each for each in await books.requests()}
    assert rows > 40
    reasons = Counter(each.reason for each in corrections)
    assert reasons["matched"] + reasons["shared"] >= 0.99 * rows
    assert len({each.query for each in corrections}) == len(corrections) == rows
    settled = sum(each.settled for each in requests.values())
    assert settled + sum(each.points for each in corrections) == books.spent
    for each in corrections:
        own = requests[each.job]
        assert (each.client, each.name, each.account) == (own.client, own.name, own.account)
    # What usage told exactly needed no correction.
    exact = [each for each in corrections if requests[each.job].basis == "usage"]
    assert exact
    assert {each.points for each in exact} == {0}


async def test_fifty_parallel_calls_leave_in_the_budgets_what_poe_has_charged(
    books: Books, deployment: Deployment
) -> None:
    # given five keys in two groups, all with budgets, and two accounts, one of them with two tokens
    names = ["ann", "ben", "cat", "dan", "eve"]
    budgets = "dayBudget = 1000000, totalBudget = 1000000"
    access_tokens = [
        f'{{ key = "sk-{name}", name = "{name}", group = "g{n % 2}", {budgets} }}'
        for n, name in enumerate(names)
    ]
    poe_tokens = [f'{{ token = "sim-a{n}", account = "a" }}' for n in (1, 2)]
    books.poe.settings.keys.update({"sim-a1": "a", "sim-a2": "a"})
    tokens = f"tokens = [{', '.join(poe_tokens)}, 'sim-b']"
    worker = f"{tokens}\ncoolDown = 0\nrateLimit = 1000\nreconcileEvery = 0.3\n"
    await deployment.start_worker(config=worker, tokens="", poe_url=books.poe.url)
    link = Link(deployment.redis.url, timeout=5.0)
    groups = Groups(partial(link.run, now="0"))
    for group in ("g0", "g1"):
        await groups.change(group, Given({"monthBudget": 1_000_000}, {"monthBudget": "budget"}))
    gateway = await deployment.start_gateway(
        config=f"accessTokens = [{', '.join(access_tokens)}]\ndefaultPoints = 25\n"
    )

    # when they ask for models with and without a price, and some answers are cut or left
    async with gateway.http(None) as http:
        answers = await asyncio.gather(
            *(
                completion(http, f"sk-{names[n % 5]}", MODELS[n % 6], f"{n % 7} words")
                for n in range(50)
            )
        )
        assert Counter(answers)[200] > 40  # Fail-late fails
        rows = sum(len(account.rows) for account in books.poe.record.accounts.values())
        corrections = await books.corrected(rows)

    # then
    requests = await books.requests()
    reasons = Counter(each.reason for each in corrections)
    assert len(requests) == 50
    assert reasons["matched"] + reasons["shared"] >= 0.99 * rows
    spent, reserved = Counter[str](), 0
    for counter in {name for each in requests for name in each.budgets}:
        points, held = await books.redis.hmget(keys.budget(counter), "spent", "reserved")
        spent[":".join(counter.split(":")[::2])] += int(points)
        reserved += int(held or 0)
    assert spent["key:day"] == spent["key:total"] == spent["group:month"] == books.spent
    assert reserved == 0
    # It was not so before: the prices of half of the models are not known.
    assert sum(each.settled for each in requests) != books.spent
    await link.aclose()


async def completion(http: httpx.AsyncClient, key: str, model: str, text: str) -> int:
    """Ask, and return the status of the answer."""
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 50}
    answer = await http.post(
        "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"}
    )
    return answer.status_code


async def test_only_what_is_new_is_looked_for_and_the_points_left_are_noted(
    books: Books, redis_server: RedisServer
) -> None:
    one, two = token("sim-a"), token("sim-b")
    async with working(redis_server.url, books.poe.url, one, reconcile_every=EVERY):
        await books.call("Dear")
        await books.corrected(1)
    async with working(redis_server.url, books.poe.url, one, two, reconcile_every=EVERY):
        while (calls := Counter(each.key for each in books.poe.record.calls))["sim-b"] == 0:
            await books.call("Dear")
        await books.corrected(calls.total())
        account = books.account("sim-a")

        async def noted() -> bool:
            points = await books.redis.hget(keys.token(one.id), "points")
            return bool(points and int(points) == account.points)

        await eventually(noted, "the points of the account")

    asked = Counter(books.poe.history.asked)
    assert 1 <= asked[account.name] <= calls["sim-a"]
    assert 1 <= asked[books.account("sim-b").name] <= calls["sim-b"]
    at = int(await books.redis.hget(keys.token(one.id), "points_at"))
    assert 0 <= time.time() * 1000 - at < 60_000


async def test_what_others_did_with_the_account_is_unmatched(
    books: Books, redis_server: RedisServer
) -> None:
    async with working(redis_server.url, books.poe.url, token("sim-a"), reconcile_every=EVERY):
        await books.call("Dear")
        (first,) = await books.corrected(1)
        account, now = books.account("sim-a"), time.time()
        account.charge(Row(now - 3600, "Before", Charge(1, {}), usage_type="Chat"))
        account.charge(Row(now, "GPT-4o", Charge(7, {}), usage_type="Chat"))
        account.charge(Row(now, "Dear", Charge(9, {}), key_name="a script's"))
        await books.call("Dear")

        second = await books.corrected(3)

    # What an unknown key has done may still turn out to be ours, and waits.
    by_reason = {each.reason: each for each in second if each != first}
    assert set(by_reason) == {"matched", "unmatched"}
    stranger = by_reason["unmatched"]
    assert (stranger.job, stranger.client, stranger.model) == ("", "", "GPT-4o")
    assert (stranger.points, stranger.account) == (7, "label-sim-a")


async def test_the_history_is_read_page_after_page_as_far_as_it_takes(
    books: Books, redis_server: RedisServer
) -> None:
    books.poe.history.repeats = True
    account, now = books.account("sim-a"), time.time()
    for n in range(250):
        account.charge(Row(now - 7200 - n, "Older", Charge(1, {}), usage_type="Chat"))
        account.charge(Row(now + 3600, "Newer", Charge(1, {}), usage_type="Chat"))
    async with working(redis_server.url, books.poe.url, token("sim-a"), reconcile_every=EVERY):
        await books.call("Dear")

        corrections = await books.corrected(251)

    assert Counter(each.reason for each in corrections) == {"matched": 1, "unmatched": 250}
    # 250 rows take three pages, and the third has rows of a time that does not matter.
    assert len(books.poe.history.asked) == 3


async def test_a_history_that_fails_is_asked_again(books: Books, redis_server: RedisServer) -> None:
    books.poe.history.statuses = [429, 500]
    books.poe.history.breakdown = False
    async with working(redis_server.url, books.poe.url, token("sim-a"), reconcile_every=EVERY):
        job = await books.call("Count", "3")

        (only,) = await books.corrected(1)

    assert (only.job, only.reason, only.points) == (job, "matched", 10)
    assert len(books.poe.history.asked) == 3


async def test_a_key_that_poe_refuses_leaves_the_history_to_the_account_s_others(
    books: Books, redis_server: RedisServer
) -> None:
    bad, good = token("sim-bad", account="a"), token("sim-good", account="a")
    async with working(redis_server.url, books.poe.url, bad, good, reconcile_every=EVERY):
        await books.call("Dear")

        (only,) = await books.corrected(1)

    assert only.account == good.label


async def test_a_worker_that_died_has_done_nothing_twice_and_forgotten_nothing(
    books: Books, redis_server: RedisServer
) -> None:
    # given corrections that were decided, of which one was made, when a worker died
    made, unmade = (
        (Correction(job="", query=query, points=5, reason="unmatched"), ()) for query in "ab"
    )
    state = msgspec.msgpack.encode(State(unsent=(made, unmade)))
    one = token("sim-a")
    async with working(redis_server.url, books.poe.url, one, reconcile_every=EVERY):
        await books.call("Dear")
        await books.corrected(1)
    async with working(redis_server.url, books.poe.url, one) as other:
        await other.queue.reconciliations.correct(State(unsent=(made,)))
    await books.redis.set(keys.reconciliation(one.account), state)

    # when another takes over
    async with working(redis_server.url, books.poe.url, one, reconcile_every=EVERY):
        corrections = await books.corrected(3)
        await books.call("Dear")
        corrections = await books.corrected(4)

    # then
    assert Counter(each.query for each in corrections)["a"] == 1
    assert Counter(each.query for each in corrections)["b"] == 1
    assert len(corrections) == 4


async def test_what_a_look_has_decided_is_done_soon_though_redis_failed_amid_it(
    books: Books, redis_server: RedisServer
) -> None:
    # given a correction that is decided, and that Redis has refused to make
    one = token("sim-a")

    async def refused() -> bool:
        return "errorstat_WRONGTYPE" in await books.redis.info("errorstats")

    await books.redis.set(keys.corrected, "not a sorted set")
    async with working(redis_server.url, books.poe.url, one, reconcile_every=EVERY):
        job = await books.call("Dear")
        await eventually(refused, "a refused correction")

        # when it can be, and nothing new happens
        await books.redis.delete(keys.corrected)

        # then
        (only,) = await books.corrected(1)
    assert (only.job, only.reason) == (job, "matched")


async def test_what_a_worker_left_is_done_soon_by_the_one_that_had_the_account_before(
    books: Books, redis_server: RedisServer
) -> None:
    # given a worker that has looked at two accounts, and has lost one of them to another
    tokens = token("sim-a"), token("sim-b")
    accounts = [each.account for each in tokens]

    def of(worker: Service) -> set[str]:
        now = time.monotonic()
        return {each for each in accounts if worker.leases.lease(each, now) is not None}

    async def is_shared(*workers: Service) -> bool:
        return [len(of(worker)) for worker in workers] == [2 // len(workers)] * len(workers)

    url, poe = redis_server.url, books.poe.url
    async with working(url, poe, *tokens, name="w1", reconcile_every=EVERY) as first:
        await eventually(lambda: is_shared(first), "both leases")
        await books.call("Dear")
        await books.corrected(1)
        async with working(url, poe, *tokens, name="w2") as second:
            await eventually(lambda: is_shared(first, second), "a lease for each")
            (account,) = of(second)

            # when the other one ends before it has done what it has decided
            left = Correction(job="", query="left", points=5, reason="unmatched"), ()
            state = msgspec.msgpack.encode(State(unsent=(left,)))
            await books.redis.set(keys.reconciliation(account), state)

        # then
        corrections = await books.corrected(2)
    assert corrections[-1].query == "left"


async def test_what_is_known_of_many_accounts_is_read_a_few_at_a_time(
    books: Books, redis_server: RedisServer
) -> None:
    accounts = [f"a{n}" for n in range(100)]
    for n, account in enumerate(accounts):
        await books.redis.set(keys.reconciliation(account), msgspec.msgpack.encode(State(looked=n)))

    async with (
        working(redis_server.url, books.poe.url, token("sim-a")) as worker,
        books.redis.monitor() as monitor,
    ):
        found = [each async for each in worker.queue.reconciliations.states(accounts)]
        await books.redis.echo("so far")
        pages = []
        while "so far" not in (command := (await monitor.next_command())["command"]):
            if command.startswith("MGET"):
                pages.append(len(command.split()) - 1)

    assert [(account, state.looked) for account, state in found] == [
        (account, n) for n, account in enumerate(accounts)
    ]
    assert max(pages) <= 20
    assert sum(pages) == 100


async def test_a_request_finds_its_row_though_no_worker_was_there_when_it_ended(
    books: Books, redis_server: RedisServer
) -> None:
    async with working(redis_server.url, books.poe.url, token("sim-a")):
        job = await books.call("Dear")
    assert await books.corrections() == []

    async with working(redis_server.url, books.poe.url, token("sim-a"), reconcile_every=EVERY):
        (only,) = await books.corrected(1)

    assert only.job == job
    assert await books.redis.exists(keys.unreconciled("label-sim-a")) == 0


async def test_a_request_finds_its_row_though_its_token_was_replaced_by_another_of_the_account(
    books: Books, redis_server: RedisServer
) -> None:
    old, new = token("sim-old", account="a"), token("sim-new", account="a")
    books.poe.settings.keys.update({"sim-old": "a", "sim-new": "a"})
    async with working(redis_server.url, books.poe.url, old):
        job = await books.call("Dear")
        await eventually(lambda: is_seen(books, old.id), "the old token's record")

    async with working(redis_server.url, books.poe.url, new, reconcile_every=EVERY):
        (only,) = await books.corrected(1)

    assert (only.job, only.reason) == (job, "matched")


async def test_accounts_of_which_nothing_is_expected_are_left_alone(
    books: Books, redis_server: RedisServer
) -> None:
    tokens = [token(f"sim-{n}") for n in range(20)]
    claims = {keys.reconciler(each.account) for each in tokens}

    async with (
        books.redis.monitor() as monitor,
        working(redis_server.url, books.poe.url, *tokens, reconcile_every=EVERY),
    ):
        for count in (1, 2):
            await books.call("Dear")
            await books.corrected(count)
        await books.redis.echo("so far")
        claimed = set()
        while "so far" not in (command := (await monitor.next_command())["command"]):
            claimed |= {claim for claim in claims if claim in command.split()}

    used = {each.account for each in await books.requests()}
    assert claimed == {keys.reconciler(each.account) for each in tokens if each.label in used}


@pytest.mark.parametrize("ahead", [-300.0, 300.0])
async def test_a_request_finds_its_row_though_a_clock_is_wrong_by_minutes(
    books: Books, redis_server: RedisServer, ahead: float
) -> None:
    books.poe.history.ahead = ahead
    async with working(redis_server.url, books.poe.url, token("sim-a"), reconcile_every=EVERY):
        job = await books.call("Dear")
        (only,) = await books.corrected(1)

    assert (only.job, only.reason) == (job, "matched")
    assert abs(only.at - time.time() * 1000) < 60_000


async def is_seen(books: Books, token_id: str) -> bool:
    return bool(await books.redis.hexists(keys.tokens_seen, token_id))
