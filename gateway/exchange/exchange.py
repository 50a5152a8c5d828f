"""Requests for answers: from a request to its jobs, and from their records to a response."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from secrets import token_hex
from typing import Protocol

import msgspec
from redis.exceptions import OutOfMemoryError, ResponseError

from contract import keys
from contract.calls.gateway import Admission, Resumable, Ticket
from contract.config import model_settings
from contract.messages import Event, Failed, FailureKind, Job
from gateway.config import AccessToken, GatewayConfig
from gateway.exchange.answer import Answer
from gateway.exchange.backpressure import Pace
from gateway.exchange.bodies import Bodies
from gateway.exchange.resume import (
    START,
    Cursor,
    Place,
    idempotency_key,
    places,
    refusal_of,
    unknown_event_id,
)
from gateway.exchange.storage import most_stored
from gateway.exchange.stream import Renderer, Stream
from gateway.http import Request
from gateway.hub import Forgotten, Full, Heavy, Hub, Limited, Mismatch, TooLarge
from gateway.metrics import Metrics
from gateway.models import ModelTable
from gateway.openai.completions import (
    CompletionCollector,
    completion_renderer,
)
from gateway.openai.errors import (
    ApiError,
    from_failed,
    idempotency_mismatch,
    invalid_request,
    queue_full,
    queue_timeout,
    rate_limited,
    storage_full,
    too_large_to_store,
    too_many_choices,
    unavailable,
    unsupported_encoding,
)
from gateway.openai.images import ImagesCollector
from gateway.openai.request import ChatRequest
from gateway.openai.response import AnswerCollector, Head, StreamRenderer, keep_alive
from gateway.queue import position as line
from gateway.queue.fleet import Fleet, StartRate
from gateway.queue.follower import Following
from store.faults import RedisFault

_log = logging.getLogger("gateway.chat")

BUSY_RETRY_AFTER = 1.0
"""Seconds, told to a client that has as many requests under way as it may: one may end any time."""

QUEUED_EVERY = 5.0
"""Seconds between two comments that tell a waiting client its place in line."""

_INTERRUPTED = Failed(
    FailureKind.INTERRUPTED,
    "The answer was interrupted: the process that was passing it on has to stop.",
)


_SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


class Surroundings(Protocol):
    """What chat needs of the app around it."""

    metrics: Metrics
    models: ModelTable
    rate: StartRate

    @property
    def fleet(self) -> Fleet: ...


class Collector(Protocol):
    """What makes one body of events."""

    def feed(self, choice: int, events: Collection[Event]) -> None: ...
    def body(self) -> bytes: ...


@dataclass(frozen=True)
class Route:
    """One of the ways to ask for an answer."""

    name: str
    renderer: Callable[[Head], Renderer]
    collector: Callable[[Head], Collector]


CHAT = Route("chat.completions", StreamRenderer, AnswerCollector)
COMPLETIONS = Route("completions", completion_renderer, CompletionCollector)
# No request for images is a stream: `parse_images` refuses those.
IMAGES = Route("images.generations", StreamRenderer, ImagesCollector)


class Exchange:
    """One accepted request, its jobs (one for each choice) and its answer."""

    def __init__(
        self,
        route: Route,
        request: Request,
        client: AccessToken,
        asked: ChatRequest,
        jobs: list[Job],
    ) -> None:
        self.route = route
        self.request = request
        self.client = client
        self.asked = asked
        self.jobs = jobs
        self.answer = Answer(len(jobs))
        self.followings: list[Following] = []
        self.resumable: Resumable | None = None
        self.seen: list[Place] = []
        """What the client has of an answer that it comes back to."""
        self.attached = False
        """Whether another request had begun it."""
        self.refusal: ApiError | None = None
        """Why it is not to be begun, unless another request had."""
        self.is_queued = False
        """Whether its jobs are in the queue, or beyond."""
        self.ends_now = False
        """Whether its jobs shall not wait for a client that may come back."""
        self.ticket = Ticket(0, 0)
        self.patience = 0.0
        """Seconds for which it may wait in the queue."""
        self.stream: Stream | None = None
        self.withdrawal: asyncio.Task[None] | None = None
        """What tries to take it out of the queue, if something does."""

    @property
    def job(self) -> Job:
        """The job that names the whole."""
        return self.jobs[0]

    @property
    def is_waiting(self) -> bool:
        """Whether it is in the queue, and no worker has begun with it."""
        answer = self.answer
        heard = answer.started is not None or answer.end is not None or answer.client_left
        return self.is_queued and not heard

    def is_overdue(self, now: float) -> bool:
        """Tell whether it has waited for longer than it may. `now` is of the monotonic clock.

        One that others have begun has had its time told by them.
        """
        return not self.attached and now - self.answer.began >= self.patience

    def log(self) -> None:
        """Write the line that tells of the request when all is over."""
        answer, now = self.answer, time.monotonic()
        started = answer.started
        first = answer.first_text_at
        _log.info(
            "request",
            extra={
                "request": self.request.id,
                "job": self.job.id,
                "client": self.client.name,
                "model": self.asked.model,
                "bot": self.job.model,
                "token": started.token if started else None,
                "worker": started.worker if started else None,
                "attempts": started.attempt if started else 0,
                "stream": self.asked.stream,
                "attached": self.attached,
                "status": self.request.status,
                "queue_wait": round(started.waited, 3) if started else None,
                "first_text": round(first - answer.began, 3) if first else None,
                "duration": round(now - answer.began, 3),
                "outcome": self.outcome,
            },
        )

    @property
    def outcome(self) -> str:
        """How it ended, in a word."""
        end = self.answer.end
        if isinstance(end, Failed):
            return end.kind
        if end is not None:
            return "ok"
        return "client left" if self.answer.client_left else "refused"


class Chat:
    """Everything that is asked of models."""

    def __init__(self, app: Surroundings, config: GatewayConfig, hub: Hub) -> None:
        self._app = app
        self._config = config
        self._hub = hub
        self._max_body = config.max_body * 1024 * 1024
        self._bodies = Bodies(self._max_body)
        self._exchanges: set[Exchange] = set()
        self._pace = Pace(config.port)

    @property
    def active(self) -> int:
        """Accepted requests that are not answered yet."""
        return len(self._exchanges)

    async def complete(self, route: Route, request: Request, client: AccessToken) -> None:
        """Answer one request. Raises ApiError before anything was sent."""
        if encoding := request.header("content-encoding").replace("identity", ""):
            raise unsupported_encoding(encoding)
        body = await request.body(self._max_body)
        asked = await self._bodies.read(route.name, body, client.client)
        del body
        self._see_that_it_may_have(asked.n, client)
        exchange = Exchange(route, request, client, asked, self._jobs(asked, client))
        exchange.patience = self._patience(request)
        exchange.refusal = self._refusal(exchange)
        await self._name(exchange)
        async with self._exchange(exchange):
            try:
                await self._answer(exchange)
            except ApiError as error:
                # In here, so that the log tells the status.
                request.respond_error(error)

    def tick(self, now: float) -> None:
        """Comment into streams that have been silent for long, and end what is hopeless."""
        hopeless = self._hopeless()
        for exchange in list(self._exchanges):
            if hopeless:
                self._give_up(exchange, hopeless)
            elif exchange.is_overdue(now):
                self._give_up_waiting(exchange)
            stream, started = exchange.stream, exchange.answer.started
            if stream is None or exchange.answer.end is not None:
                continue
            stream.drop_if_stalled(now)
            pause = self._config.keep_alive if started else QUEUED_EVERY
            if now - stream.silent_since() >= pause:
                stream.comment(keep_alive() if started else self._place_in_line(exchange))

    async def close(self) -> None:
        """End what was started beside the loop."""
        await self._bodies.close()

    def interrupt(self) -> None:
        """End every answer that is still under way: the process has to stop."""
        for exchange in list(self._exchanges):
            # One that has a key goes on, and can be had from another gateway at no cost.
            charged = exchange.resumable is None
            exchange.answer.fail(msgspec.structs.replace(_INTERRUPTED, charged=charged))

    def _jobs(self, asked: ChatRequest, client: AccessToken) -> list[Job]:
        job = Job(
            id=token_hex(12),
            client=client.client,
            model=self._app.models.resolve(asked.model, client.models),
            messages=asked.messages,
            options=asked.options,
            created=time.time(),
            stream=asked.stream,
            usage=asked.include_usage,
        )
        return _numbered(job, asked.n)

    async def _name(self, exchange: Exchange) -> None:
        """Find the answer that this request has a name for. Raises ApiError."""
        given = exchange.request.plain_header("idempotency-key")
        event_id = exchange.request.plain_header("last-event-id")
        if event_id and given is None:
            raise refusal_of(event_id)
        if given is None:
            return
        exchange.seen = places(event_id or "0", exchange.asked.n)
        job = exchange.job
        key = keys.idempotency(exchange.client.client, idempotency_key(given))
        body = exchange.asked.digest
        begun = "" if exchange.refusal else job.id
        try:
            claimed = await self._hub.claim(key, body, begun, int(job.created))
        except Mismatch:
            raise idempotency_mismatch() from None
        except RedisFault as fault:
            raise _no_queue(fault) from None
        if claimed is None:
            return
        name, created = claimed
        exchange.attached = name != job.id
        if exchange.attached:
            first = msgspec.structs.replace(job, id=name, created=float(created))
            exchange.jobs = _numbered(first, exchange.asked.n)
        if exchange.asked.stream:
            await self._see_that_it_has(exchange)
        exchange.resumable = Resumable(
            key, token_hex(6), self._config.resume_grace, self._config.resume_window
        )

    async def _see_that_it_has(self, exchange: Exchange) -> None:
        # What is kept no longer would be asked for anew, and its beginning left out.
        had = [
            (job.id, f"{epoch}-{seq}")
            for job, (epoch, seq, _) in zip(exchange.jobs, exchange.seen, strict=True)
            if (epoch, seq) != START[:2]
        ]
        try:
            if had and not await self._hub.has(had):
                raise unknown_event_id()
        except RedisFault as fault:
            raise _no_queue(fault) from None

    def _hopeless(self) -> Failed | None:
        """Return why no request can be answered, if none can."""
        tokens = self._app.fleet.tokens
        if tokens.free or tokens.cooling or tokens.busy or self._app.fleet.others:
            return None
        if tokens.parked:
            return Failed(FailureKind.NO_POINTS, "No Poe key of this deployment has points left.")
        if tokens.disabled:
            return Failed(FailureKind.NO_TOKEN, "Poe refuses every key of this deployment.")
        return None

    @asynccontextmanager
    async def _exchange(self, exchange: Exchange) -> AsyncIterator[None]:
        answer, hub = exchange.answer, self._hub
        self._exchanges.add(exchange)
        self._app.metrics.active.inc()
        watch = exchange.request.disconnected()
        watch.add_done_callback(lambda done: None if done.cancelled() else answer.leave())
        exchange.followings = [
            hub.follow(job.id, partial(answer.take, choice))
            for choice, job in enumerate(exchange.jobs)
        ]
        try:
            yield
        finally:
            watch.cancel()
            for following in exchange.followings:
                hub.unfollow(following)
            # Without the others, what is left of an answer is nothing.
            at_once = exchange.ends_now or (isinstance(answer.end, Failed) and not answer.is_ours)
            for choice in answer.unfinished if exchange.is_queued else ():
                hub.leave(exchange.jobs[choice].id, exchange.resumable, at_once=at_once)
            self._exchanges.discard(exchange)
            self._account_for(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        await self._submit(exchange)
        deadline = asyncio.get_running_loop().call_later(
            exchange.patience, self._give_up_waiting, exchange
        )
        try:
            await (self._stream if exchange.asked.stream else self._collect)(exchange)
        finally:
            deadline.cancel()

    async def _submit(self, exchange: Exchange) -> None:
        if exchange.refusal and not exchange.attached:
            raise exchange.refusal
        await self._queue(exchange)
        if exchange.attached:
            for following in exchange.followings:
                following.read_log()

    def _refusal(self, exchange: Exchange) -> ApiError | None:
        # Found before it is queued: from then on it may cost something at any time.
        if hopeless := self._hopeless():
            return from_failed(hopeless)
        wait = self._eta(exchange)
        return queue_timeout(wait) if wait is not None and wait > exchange.patience else None

    async def _queue(self, exchange: Exchange) -> None:
        terms = self._terms(exchange)
        try:
            exchange.ticket = await self._hub.submit(
                exchange.job, len(exchange.jobs), terms, exchange.resumable
            )
        except Limited as limited:
            wait = limited.retry_after or BUSY_RETRY_AFTER
            _tell_limits(exchange, 0, wait)
            raise rate_limited(wait) from None
        except Full:
            raise queue_full(self._eta(exchange) or 5.0) from None
        except Heavy:
            raise storage_full(self._eta(exchange) or 5.0) from None
        except TooLarge:
            raise too_large_to_store(min(terms.max_stored, terms.max_stored_total)) from None
        except Forgotten:
            raise unavailable("The answer of this Idempotency-Key has just ended.", 1.0) from None
        except RedisFault as fault:
            raise _no_queue(fault) from None
        exchange.is_queued = True
        _tell_limits(exchange, exchange.ticket.asks_left, exchange.ticket.asks_reset)

    def _terms(self, exchange: Exchange) -> Admission:
        config, client = self._config, exchange.client
        max_stored, max_stored_total = most_stored(config, self._app.fleet.maxmemory)
        return Admission(
            wait=exchange.patience,
            weight=client.weight,
            max_queued=config.max_queued,
            max_queued_total=config.max_queued_total,
            max_concurrent=client.max_concurrent,
            rate_limit=client.rate_limit,
            max_stored=max_stored,
            max_stored_total=max_stored_total,
        )

    def _see_that_it_may_have(self, n: int, client: AccessToken) -> None:
        bounds = [client.max_concurrent, client.rate_limit]
        most = min(self._config.max_queued, self._config.max_queued_total, *filter(None, bounds))
        if n > most:
            raise too_many_choices(n, most)

    async def _stream(self, exchange: Exchange) -> None:
        answer = exchange.answer
        await answer.decided(self._hold(exchange))
        self._raise_if_failed(exchange)
        if answer.client_left:
            return
        wants_ids = bool(exchange.request.header("last-event-id"))
        exchange.stream = stream = Stream(
            exchange.request,
            answer,
            exchange.route.renderer(self._head(exchange)),
            exchange.followings,
            self._pace,
            cursor=Cursor(exchange.seen) if exchange.resumable else None,
            ids=wants_ids,
        )
        try:
            answer.flow_to(stream.write)
            if not stream.silent_since():
                stream.comment(keep_alive() if answer.started else self._place_in_line(exchange))
            await answer.over()
        finally:
            stream.stop()

    async def _collect(self, exchange: Exchange) -> None:
        answer = exchange.answer
        collector = exchange.route.collector(self._head(exchange))
        answer.flow_to(lambda choice, record: collector.feed(choice, record.events))
        await answer.over()
        self._raise_if_failed(exchange)
        if answer.end is not None:
            exchange.request.respond(200, collector.body())

    def _head(self, exchange: Exchange) -> Head:
        asked, job = exchange.asked, exchange.job
        return Head(
            job=job.id,
            created=int(job.created),
            model=asked.model,
            prompt_tokens=asked.prompt_tokens,
            choices=asked.n,
            include_usage=asked.include_usage,
            continuous_usage=asked.continuous_usage,
            reasoning=model_settings(self._config.models, job.model, asked.model).reasoning,
            legacy_calls=asked.legacy_calls,
            echo=asked.echo,
        )

    def _hold(self, exchange: Exchange) -> float:
        """Seconds for which the status line waits; none where nothing will come for longer."""
        hold, waits = self._config.status_hold, not (exchange.attached or exchange.answer.started)
        return 0.0 if waits and (self._eta(exchange) or 0) > hold else hold

    def _patience(self, request: Request) -> float:
        longest, asked = self._config.queue_timeout, request.plain_header("x-queue-timeout")
        if asked is None:
            return longest
        seconds = float(asked) if _SECONDS.fullmatch(asked) else 0.0
        if not seconds:
            raise invalid_request("x-queue-timeout must be a positive number of seconds.")
        return min(seconds, longest)

    def _raise_if_failed(self, exchange: Exchange) -> None:
        end = exchange.answer.end
        if isinstance(end, Failed) and end.kind is FailureKind.MODEL_NOT_FOUND:
            raise self._app.models.unknown(exchange.asked.model)
        if isinstance(end, Failed):
            raise from_failed(end, self._app.models.context_length(exchange.job.model))

    def _give_up_waiting(self, exchange: Exchange) -> None:
        if not exchange.attached:
            message = "The request waited too long for a free Poe key."
            wait = self._eta(exchange) or 5.0
            self._give_up(exchange, Failed(FailureKind.QUEUE_TIMEOUT, message, retry_after=wait))

    def _give_up(self, exchange: Exchange, failed: Failed) -> None:
        if exchange.is_waiting and exchange.withdrawal is None:
            exchange.withdrawal = self._hub.spawn(self._withdraw(exchange, failed))

    async def _withdraw(self, exchange: Exchange, failed: Failed) -> None:
        # That no worker has been heard of does not mean that none has begun. One that may have
        # cost something waits on, and is asked about again at the next tick.
        try:
            jobs = len(exchange.jobs)
            if await self._hub.withdraw(exchange.job.id, jobs, exchange.resumable):
                exchange.ends_now = True
                exchange.answer.fail(failed)
        except RedisFault as fault:
            _log.warning("cannot take a request out of the queue yet: %r", fault)
        finally:
            exchange.withdrawal = None

    def _place_in_line(self, exchange: Exchange) -> bytes:
        return keep_alive(self._position(exchange), self._eta(exchange))

    def _position(self, exchange: Exchange) -> int:
        client, ticket, standings = exchange.client, exchange.ticket, self._app.fleet.standings
        if not exchange.is_queued:
            jobs = len(exchange.jobs)
            seen = line.newcomer(client.client, jobs, client.weight, standings)
        else:
            if client.client not in standings:
                # It came after the last look.
                gone = ticket.seq - ticket.place
                own = line.arrival(client.weight, gone, standings)
                standings = {**standings, client.client: own}
            seen = line.position(client.client, ticket.seq, standings)
        # The line has moved on since the look.
        age = time.monotonic() - self._app.fleet.at
        return max(1, round(seen - self._app.rate.pace() * age))

    def _eta(self, exchange: Exchange) -> float | None:
        free = self._app.fleet.tokens.free
        return line.eta(self._position(exchange), self._app.rate.rate(), free)

    def _account_for(self, exchange: Exchange) -> None:
        answer, metrics = exchange.answer, self._app.metrics
        metrics.active.dec()
        metrics.outcomes.labels(exchange.outcome).inc()
        metrics.duration.observe(time.monotonic() - answer.began)
        if answer.started and not exchange.attached:
            metrics.queue_wait.observe(answer.started.waited)
        if answer.first_text_at:
            metrics.first_text.observe(answer.first_text_at - answer.began)
        exchange.log()


def _numbered(job: Job, choices: int) -> list[Job]:
    """A job for each choice; the names of all follow from the first one's."""
    return [
        msgspec.structs.replace(job, id=keys.choice(job.id, number)) for number in range(choices)
    ]


def _no_queue(fault: BaseException) -> ApiError:
    _log.warning("cannot queue a request: %r", fault)
    match fault:
        case OutOfMemoryError():
            why = "is full: its Redis has reached maxmemory"
        case ResponseError():
            why = "takes no requests at the moment"
        case _:
            why = "cannot be reached"
    return unavailable(f"The queue {why}. Try again in a moment.", 1.0)


def _tell_limits(exchange: Exchange, left: int | None, reset: float) -> None:
    if exchange.client.rate_limit is not None and left is not None:
        exchange.request.headers += [
            ("x-ratelimit-limit-requests", str(exchange.client.rate_limit)),
            ("x-ratelimit-remaining-requests", str(left)),
            ("x-ratelimit-reset-requests", f"{math.ceil(reset)}s"),
        ]
