"""Chat completions: from a request to a job, and from its events to a response."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from secrets import token_hex
from typing import Protocol

from contract.messages import Event, Failed, FailureKind, Job
from contract.store import RedisFault
from gateway import line
from gateway.answer import Answer
from gateway.config import AccessToken, GatewayConfig
from gateway.fleet import Fleet, StartRate
from gateway.http import ProtocolClosed, Request, Sink
from gateway.hub import Admission, Full, Hub, Limited, Ticket
from gateway.line import Standing
from gateway.metrics import Metrics
from gateway.openai.errors import (
    ApiError,
    from_failed,
    invalid_request,
    model_not_found,
    queue_full,
    queue_timeout,
    rate_limited,
    unavailable,
    unsupported_encoding,
)
from gateway.openai.models import ModelTable
from gateway.openai.request import ChatRequest, parse_chat
from gateway.openai.response import AnswerCollector, StreamRenderer, keep_alive
from gateway.openai.usage import estimate_prompt

_log = logging.getLogger("gateway.chat")

BUSY_RETRY_AFTER = 1.0
"""Seconds, told to a client that has as many requests under way as it may: one may end any time."""

QUEUED_EVERY = 5.0
"""Seconds between two comments that tell a waiting client its place in line."""

_INTERRUPTED = Failed(
    FailureKind.INTERRUPTED,
    "The answer was interrupted: the process that was passing it on has to stop.",
    charged=True,
)


class Surroundings(Protocol):
    """What chat needs of the app around it."""

    metrics: Metrics
    models: ModelTable
    rate: StartRate

    @property
    def fleet(self) -> Fleet: ...


class Stream:
    """One committed stream: writes events as they come, and comments when none do."""

    def __init__(self, sink: Sink, renderer: StreamRenderer, answer: Answer) -> None:
        self._sink = sink
        self._renderer = renderer
        self._answer = answer
        self._wrote = 0.0

    def write(self, events: Iterable[Event]) -> None:
        """Write what these events add."""
        if data := self._renderer.feed(events):
            self._send(data)

    def comment(self, data: bytes) -> None:
        """Write a comment."""
        self._send(data)

    def silent_since(self) -> float:
        """When something was last written, on the monotonic clock."""
        return self._wrote

    def _send(self, data: bytes) -> None:
        self._wrote = time.monotonic()
        try:
            self._sink.write(data)
        except ProtocolClosed:
            self._answer.leave()


class Exchange:
    """One accepted request, its job and its answer."""

    def __init__(self, request: Request, client: AccessToken, asked: ChatRequest, job: Job) -> None:
        self.request = request
        self.client = client
        self.asked = asked
        self.job = job
        self.answer = Answer()
        self.ticket = Ticket(0, 0)
        self.patience = 0.0
        """Seconds for which it may wait in the queue."""
        self.stream: Stream | None = None
        self.prompt_tokens = estimate_prompt(job.messages)

    @property
    def is_waiting(self) -> bool:
        """Whether it is in the queue, and no worker has begun with it."""
        return bool(self.ticket.seq) and self.answer.started is None and self.answer.end is None

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
    """The chat completions route."""

    def __init__(self, app: Surroundings, config: GatewayConfig, hub: Hub) -> None:
        self._app = app
        self._config = config
        self._hub = hub
        self._exchanges: set[Exchange] = set()

    @property
    def active(self) -> int:
        """Accepted requests that are not answered yet."""
        return len(self._exchanges)

    async def complete(self, request: Request, client: AccessToken) -> None:
        """Answer one request. Raises ApiError before anything was sent."""
        if encoding := request.header("content-encoding").replace("identity", ""):
            raise unsupported_encoding(encoding)
        asked = parse_chat(await request.body(self._config.max_body * 1024 * 1024))
        job = self._job(asked, client)
        if hopeless := self._hopeless():
            raise from_failed(hopeless)
        exchange = Exchange(request, client, asked, job)
        exchange.patience = self._patience(request)
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
            if hopeless and exchange.is_waiting:
                self._give_up(exchange, hopeless)
            stream, started = exchange.stream, exchange.answer.started
            if stream is None or exchange.answer.end is not None:
                continue
            pause = self._config.keep_alive if started else QUEUED_EVERY
            if now - stream.silent_since() >= pause:
                stream.comment(keep_alive() if started else self._place_in_line(exchange))

    def interrupt(self) -> None:
        """End every answer that is still under way: the process has to stop."""
        for exchange in list(self._exchanges):
            self._give_up(exchange, _INTERRUPTED)

    def _job(self, asked: ChatRequest, client: AccessToken) -> Job:
        if client.models and asked.model.casefold() not in map(str.casefold, client.models):
            raise model_not_found(f"The model {asked.model!r} is not available to this API key.")
        return Job(
            id=token_hex(12),
            client=client.client,
            model=self._app.models.resolve(asked.model),
            messages=asked.messages,
            options=asked.options,
            created=time.time(),
        )

    def _hopeless(self) -> Failed | None:
        """Return why no request can be answered, if none can."""
        tokens = self._app.fleet.tokens
        if tokens.free or tokens.cooling or tokens.busy:
            return None
        if tokens.parked:
            return Failed(FailureKind.NO_POINTS, "No Poe key of this deployment has points left.")
        if tokens.disabled:
            return Failed(FailureKind.NO_TOKEN, "Poe refuses every key of this deployment.")
        return None

    @asynccontextmanager
    async def _exchange(self, exchange: Exchange) -> AsyncIterator[None]:
        answer, job = exchange.answer, exchange.job
        self._exchanges.add(exchange)
        self._app.metrics.active.inc()
        watch = exchange.request.disconnected()
        watch.add_done_callback(lambda done: None if done.cancelled() else answer.leave())
        self._hub.follow(job.id, answer.take)
        try:
            yield
        finally:
            watch.cancel()
            self._hub.unfollow(job.id)
            if answer.end is None and exchange.ticket.seq:
                self._hub.cancel(job.id)
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
        config = self._config
        try:
            exchange.ticket = await self._hub.submit(
                exchange.job,
                Admission(
                    wait=exchange.patience,
                    weight=exchange.client.weight,
                    max_queued=config.max_queued,
                    max_queued_total=config.max_queued_total,
                    max_concurrent=exchange.client.max_concurrent,
                    rate_limit=exchange.client.rate_limit,
                ),
            )
        except Limited as limited:
            raise rate_limited(limited.retry_after or BUSY_RETRY_AFTER) from None
        except Full:
            raise queue_full(self._eta(exchange) or 5.0) from None
        except RedisFault as fault:
            _log.warning("cannot queue a request: %r", fault)
            raise unavailable("The queue cannot be reached. Try again in a moment.", 1.0) from None
        wait = self._eta(exchange)
        if wait is not None and wait > exchange.patience:
            raise queue_timeout(wait)

    async def _stream(self, exchange: Exchange) -> None:
        answer = exchange.answer
        await answer.decided(self._hold(exchange))
        self._raise_if_failed(exchange)
        if answer.client_left:
            return
        renderer = StreamRenderer(
            f"chatcmpl-{exchange.job.id}",
            int(exchange.job.created),
            exchange.asked.model,
            exchange.asked.include_usage,
            exchange.prompt_tokens,
        )
        sink = exchange.request.stream()
        exchange.stream = stream = Stream(sink, renderer, answer)
        answer.flow_to(stream.write)
        if not stream.silent_since():
            stream.comment(keep_alive() if answer.started else self._place_in_line(exchange))
        await answer.over()
        sink.close()

    async def _collect(self, exchange: Exchange) -> None:
        answer = exchange.answer
        collector = AnswerCollector(
            f"chatcmpl-{exchange.job.id}",
            int(exchange.job.created),
            exchange.asked.model,
            exchange.prompt_tokens,
        )
        answer.flow_to(collector.feed)
        await answer.over()
        self._raise_if_failed(exchange)
        if answer.end is not None:
            exchange.request.respond(200, collector.body())

    def _hold(self, exchange: Exchange) -> float:
        """Seconds for which the status line waits; none where nothing will come for longer."""
        hold = self._config.status_hold
        return (
            0.0 if exchange.answer.started is None and (self._eta(exchange) or 0) > hold else hold
        )

    def _patience(self, request: Request) -> float:
        longest, asked = self._config.queue_timeout, request.header("x-queue-timeout")
        if not asked:
            return longest
        try:
            seconds = float(asked)
        except ValueError:
            seconds = math.nan
        if not seconds > 0:
            raise invalid_request("x-queue-timeout must be a positive number of seconds.")
        return min(seconds, longest)

    def _raise_if_failed(self, exchange: Exchange) -> None:
        end = exchange.answer.end
        if isinstance(end, Failed):
            raise from_failed(end, self._app.models.context_length(exchange.job.model))

    def _give_up_waiting(self, exchange: Exchange) -> None:
        if exchange.is_waiting:
            message = "The request waited too long for a free Poe key."
            wait = self._eta(exchange) or 5.0
            self._give_up(exchange, Failed(FailureKind.QUEUE_TIMEOUT, message, retry_after=wait))

    def _give_up(self, exchange: Exchange, failed: Failed) -> None:
        self._hub.cancel(exchange.job.id)
        exchange.answer.take([failed])

    def _place_in_line(self, exchange: Exchange) -> bytes:
        place = self._position(exchange)
        return keep_alive(place, line.eta(place, self._app.rate.rate()))

    def _position(self, exchange: Exchange) -> int:
        client, ticket, standings = exchange.job.client, exchange.ticket, self._app.fleet.standings
        if client not in standings:
            # It came after the last look: then its turn is about now.
            turn = min((other.turn for other in standings.values()), default=0.0)
            gone = ticket.seq - ticket.place
            own = Standing(turn, exchange.client.weight, ticket.place, gone)
            standings = {**standings, client: own}
        seen = line.position(client, ticket.seq, standings)
        # The line has moved on since the look.
        age = time.monotonic() - self._app.fleet.at
        return max(1, round(seen - self._app.rate.pace() * age))

    def _eta(self, exchange: Exchange) -> float | None:
        return line.eta(self._position(exchange), self._app.rate.rate())

    def _account_for(self, exchange: Exchange) -> None:
        answer, metrics = exchange.answer, self._app.metrics
        metrics.active.dec()
        metrics.outcomes.labels(exchange.outcome).inc()
        metrics.duration.observe(time.monotonic() - answer.began)
        if answer.started:
            metrics.queue_wait.observe(answer.started.waited)
        if answer.first_text_at:
            metrics.first_text.observe(answer.first_text_at - answer.began)
        exchange.log()
