"""One accepted request, from its name to its last byte: claim, submit, hold, stream or collect."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from contract.budgets import Budget
from contract.calls.gateway import NO_BLOBS
from contract.messages import Failed, FailureKind
from gateway.config import AccessToken
from gateway.dialect import Ask, Dialect, Encoder, Endpoint, Head, RateLimit, Wanted
from gateway.exchange import admission
from gateway.exchange.answer import Answer
from gateway.exchange.blobs import Blobs
from gateway.exchange.bodies import prompt_tokens
from gateway.exchange.heads import reasoning_of
from gateway.exchange.kept import KeptAnswer, KeptAnswers
from gateway.exchange.outcome import Outcome
from gateway.exchange.reader import Reader
from gateway.exchange.rejoining import Rejoining
from gateway.exchange.resume import Cursor
from gateway.exchange.services import Services
from gateway.exchange.stream import Stream
from gateway.exchange.submission import Submission
from gateway.http import Request
from gateway.problems import Problem, internal_error, problem_of
from gateway.queue.faults import no_queue
from gateway.queue.follower import Follower
from store.faults import RedisFault

_log = logging.getLogger("gateway.exchange")

QUEUED_EVERY = 5.0
"""Seconds between two comments that give a waiting client its position in the queue."""

_WAITED = "The request waited too long for a free Poe key."
_WAITED_FOR_POINTS = (
    "The request waited too long for a free Poe key, or for points of a budget that other requests"
    " have reserved."
)
_INTERRUPTED = Failed(
    FailureKind.INTERRUPTED,
    "The answer was interrupted: the process that was passing it on has to stop.",
)


class Exchange:
    """One request and its answer."""

    def __init__(
        self,
        services: Services,
        dialect: Dialect,
        endpoint: Endpoint[Any],
        *,
        request: Request,
        client: AccessToken,
        ask: Ask,
        blobs: Blobs = NO_BLOBS,
        budgets: Sequence[Budget] = (),
        answers: KeptAnswers,
        rejoined: KeptAnswer | None = None,
        skip: int = 0,
    ) -> None:
        """Raises Problem for what the client may not have at all.

        `rejoined` is the answer of another request that this one reads, but for its first `skip`
        frames.
        """
        self._services = services
        self._dialect = dialect
        self._endpoint = endpoint
        self._request = request
        self._client = client
        self._ask = ask
        self._answers = answers
        self._rejoined = rejoined
        self._skip = skip
        self._has_budgets = bool(budgets)
        self._goes_on = ask.in_background or rejoined is not None
        self._answer = Answer(ask.choices, goes_on=self._goes_on)
        self._submission: Reader = (
            Rejoining(services, client, rejoined)
            if rejoined
            else Submission(
                services,
                endpoint,
                request=request,
                client=client,
                ask=ask,
                blobs=blobs,
                budgets=budgets,
                tell_limit=self._tell_limit,
                tell_points=request.headers.extend,
            )
        )
        self._followers: list[Follower] = []
        self._stream: Stream | None = None
        self._withdrawal: asyncio.Task[None] | None = None
        self._is_withdrawn = False

    async def claim(self) -> None:
        """Find the answer that this request belongs to, if another has begun it. Raises Problem."""
        await self._submission.claim()

    async def run(self) -> None:
        """Answer the request, if only with an error."""
        watch = self._request.watch(self._answer.leave)
        self._follow()
        deadline: asyncio.TimerHandle | None = None
        try:
            await self._submit()
            loop = asyncio.get_running_loop()
            deadline = loop.call_later(self._submission.patience, self._give_up_waiting)
            await self._respond()
        except Problem as problem:
            # In here, so that the log line has the status.
            if self._stream is None:
                reply = self._dialect.error(problem, self._request.id)
                self._request.respond(reply.status, reply.body, headers=reply.headers)
        finally:
            if deadline is not None:
                deadline.cancel()
            watch.stop()
            self._leave()

    def tick(self, now: float, hopeless: Failed | None) -> None:
        """End what is hopeless or overdue, and comment into a stream that has long been silent.

        `now` is of the monotonic clock; `hopeless` is why no request can be answered now.
        """
        if self._goes_on:
            # Nobody need wait for it.
            pass
        elif hopeless is not None:
            self._give_up(hopeless)
        elif now - self._answer.began >= self._submission.patience:
            self._give_up_waiting()
        if self._stream is None or self._answer.end is not None:
            return
        self._stream.drop_if_stalled(now)
        if now - self._stream.silent_since() >= self._longest_silence:
            self._stream.comment(self._keep_alive())

    @property
    def _longest_silence(self) -> float:
        if not self._answer.started:
            return QUEUED_EVERY
        return min(self._services.config.keep_alive, self._dialect.longest_silence)

    def interrupt(self) -> None:
        """End the answer, because the process has to stop."""
        # One that has a name goes on, and can be had from another gateway at no cost.
        reader = self._submission.resumable
        charged = reader is None or not reader.key
        self._answer.fail(msgspec.structs.replace(_INTERRUPTED, charged=charged))

    def outcome(self) -> Outcome:
        """Return how it ended."""
        answer, job, started = self._answer, self._submission.jobs[0], self._answer.started
        first = answer.first_text_at
        return Outcome(
            request=self._request.id,
            job=job.id,
            client=self._client.name,
            group=self._client.group or None,
            model=self._ask.model,
            bot=job.model,
            token=started.token if started else None,
            worker=started.worker if started else None,
            attempts=started.attempt if started else 0,
            stream=self._ask.stream,
            attached=self._submission.is_attached,
            status=self._request.status,
            queue_wait=started.waited if started else None,
            first_text=first - answer.began if first else None,
            duration=time.monotonic() - answer.began,
            outcome=answer.outcome,
        )

    def _follow(self) -> None:
        """Read the jobs' answers as they come."""
        self._followers = [
            self._services.hub.follow(job.id, partial(self._answer.take, choice))
            for choice, job in enumerate(self._submission.jobs)
        ]

    def _leave(self) -> None:
        """Read the jobs' answers no longer."""
        answer = self._answer
        for follower in self._followers:
            self._services.hub.unfollow(follower)
        # Where one choice has failed, the others are of no use to anybody.
        has_failed = isinstance(answer.end, Failed) and not answer.is_ours
        at_once = self._is_withdrawn or has_failed or self._ends_with_client
        self._submission.leave(answer.unfinished, at_once=at_once)

    @property
    def _ends_with_client(self) -> bool:
        """Whether its client has left, and with it whoever would come back for the answer."""
        reader = self._submission.resumable
        found_by_id = reader is not None and not reader.key
        return self._answer.client_left and found_by_id and not self._ask.in_background

    async def _submit(self) -> None:
        await self._submission.submit()
        if self._submission.is_attached:
            for follower in self._followers:
                follower.read_log()

    def _tell_limit(self, limit: RateLimit) -> None:
        self._request.headers += self._dialect.rate_limit_headers(limit)

    @property
    def _is_waiting(self) -> bool:
        """Whether it is in the queue, and no worker has begun with it."""
        answer = self._answer
        heard = answer.started is not None or answer.end is not None or answer.client_left
        return self._submission.is_queued and not heard

    def _give_up_waiting(self) -> None:
        # An answer that another request has begun has its deadline from that one.
        if not (self._submission.is_attached or self._goes_on):
            message = _WAITED_FOR_POINTS if self._has_budgets else _WAITED
            wait = admission.retry_after(self._submission.wait())
            self._give_up(Failed(FailureKind.QUEUE_TIMEOUT, message, retry_after=wait))

    def _give_up(self, failed: Failed) -> None:
        if self._is_waiting and self._withdrawal is None:
            self._withdrawal = self._services.hub.spawn(self._withdraw(failed))

    async def _withdraw(self, failed: Failed) -> None:
        # That no worker has been heard of does not mean that none has begun. One that may have
        # cost something waits on, and is asked about again at the next tick.
        try:
            if await self._submission.withdraw():
                self._is_withdrawn = True
                self._answer.fail(failed)
        except RedisFault as fault:
            _log.warning("cannot take a request out of the queue yet: %r", fault)
        finally:
            self._withdrawal = None

    async def _respond(self) -> None:
        encoder, streams = self._endpoint.encoder, self._ask.stream or self._rejoined is not None
        if self._goes_on and not streams:
            return await self._accept()
        if encoder is None or not streams:
            return await self._collect()
        if not self._goes_on:
            await self._answer.decided(self._hold())
            self._raise_if_failed()
        if not self._answer.client_left:
            await self._send(encoder(self._head(), self._ask))
        return None

    async def _send(self, encoder: Encoder) -> None:
        stream = self._stream = self._stream_of(encoder)
        try:
            if self._goes_on:
                stream.open()
            with self._services.hub.batch:
                self._answer.flow_to(stream.write)
            if not stream.silent_since():
                stream.comment(self._keep_alive())
            await self._answer.over()
        except Exception as fault:
            stream.fail(fault if isinstance(fault, Problem) else internal_error())
            raise
        finally:
            stream.stop()

    def _stream_of(self, encoder: Encoder) -> Stream:
        name = self._submission.name if self._submission.resumable else None
        return Stream(
            self._request,
            self._answer,
            self._dialect,
            encoder,
            followers=self._followers,
            backpressure=self._services.backpressure,
            batch=self._services.hub.batch,
            problem_of=self._problem_of,
            cursor=Cursor(name.seen) if name else None,
            ids=name is not None and bool(self._request.header("last-event-id")),
            skip=self._skip,
            goes_on=self._goes_on,
        )

    async def _accept(self) -> None:
        """Tell the client of an answer that goes on without it how far it is."""
        archive = self._endpoint.archive
        assert archive is not None  # noqa: S101  # else nothing goes on
        job = self._submission.jobs[0].id
        wanted = Wanted(archive.id_of(job), job, "show")
        try:
            kept = await self._answers.find(self._endpoint, wanted, self._client)
            body = await self._answers.show(archive, kept)
        except RedisFault as fault:
            raise no_queue(fault) from None
        self._answer.is_accepted = True
        self._request.respond(200, body)

    async def _collect(self) -> None:
        answer = self._answer
        collector = self._endpoint.collector(self._head(), self._ask)
        answer.flow_to(lambda choice, record: collector.feed(choice, record.events))
        await answer.over()
        self._raise_if_failed()
        if answer.end is not None:
            self._request.respond(200, collector.body())

    def _head(self) -> Head:
        if self._rejoined is not None:
            return self._rejoined.head
        ask, job = self._ask, self._submission.jobs[0]
        return Head(
            job=job.id,
            created=int(job.created),
            model=ask.model,
            prompt_tokens=partial(prompt_tokens, ask),
            choices=ask.choices,
            reasoning=reasoning_of(self._services.config, ask, job),
            request=self._request.id,
        )

    def _hold(self) -> float:
        is_begun = self._submission.is_attached or self._answer.started is not None
        longest = self._services.config.status_hold
        return admission.hold(longest, self._submission.wait(), is_begun=is_begun)

    def _raise_if_failed(self) -> None:
        if isinstance(self._answer.end, Failed):
            raise self._problem_of(self._answer.end)

    def _problem_of(self, failed: Failed) -> Problem:
        models = self._services.models
        return problem_of(
            failed,
            unknown_model=partial(models.unknown, self._ask.model),
            context_length=models.context_length(self._submission.jobs[0].model),
        )

    def _keep_alive(self) -> bytes:
        is_waiting = self._submission.is_queued or self._rejoined is None
        if self._answer.started or not is_waiting:
            return self._dialect.keep_alive()
        position = self._submission.position()
        return self._dialect.keep_alive(position, self._services.fleet.wait(position))
