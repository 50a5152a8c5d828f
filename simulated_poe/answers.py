"""The two endpoints that answer questions: authentication, limits, and the bot's answer."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import msgspec
import orjson
from aiohttp import web

from simulated_poe import chat, failures, message_events, response_events, responses
from simulated_poe.accounts import holder_of
from simulated_poe.ask import Ask, from_query
from simulated_poe.bots import IMAGE_URL
from simulated_poe.catalogue import Answerer, Catalogue, Model
from simulated_poe.charges import Meter, charge
from simulated_poe.chunks import Head
from simulated_poe.failures import Malformed
from simulated_poe.history import History, Row, name_of
from simulated_poe.limited import limited
from simulated_poe.messages import Form
from simulated_poe.messages import from_request as read_message
from simulated_poe.play import Player
from simulated_poe.record import Call, Kind, Record
from simulated_poe.settings import Settings
from simulated_poe.steps import DONE, Played, Status, Step, encode

_REPORTS = ("settings", "report_feedback", "report_reaction", "report_error")


class Refused(Exception):
    """Poe refuses the call."""

    def __init__(self, status: int, message: str | None = None, after: float | None = None):
        super().__init__(status)
        self.message = message
        self.failure = failures.FAILURES[status]
        if after is not None:
            # Retry-After is in whole seconds, rounded up so that a client is not early.
            seconds = max(-int(-after // 1), 1)
            self.failure = msgspec.structs.replace(self.failure, retry_after=seconds)


class Answers:
    """Answers questions, charges accounts, and adds every call to `record`."""

    def __init__(
        self,
        settings: Settings,
        record: Record,
        catalogue: Catalogue,
        history: History,
        hurry: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._record = record
        self._history = history
        self._steps_of = {
            "bot": self._bot_steps,
            "chat": self._chat_steps,
            "messages": self._messages_steps,
            "responses": self._responses_steps,
        }
        self._caches: set[tuple[str, str]] = set()
        """Accounts, and the prefixes that they have sent to be cached."""
        self._hurry = hurry
        self.stopping = False

    async def bot(self, request: web.Request) -> web.StreamResponse:
        """POST /bot/{bot}, the bot query protocol."""
        return await self._answer(request, "bot")

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/chat/completions."""
        return await self._answer(request, "chat")

    async def responses(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/responses."""
        return await self._answer(request, "responses")

    async def messages(self, request: web.Request) -> web.StreamResponse:
        """POST /v1/messages."""
        return await self._answer(request, "messages")

    async def _answer(self, request: web.Request, kind: Kind) -> web.StreamResponse:
        name, now = request.match_info.get("bot", ""), time.monotonic()
        key = bearer(request) or (
            request.headers.get("x-api-key", "") if kind == "messages" else ""
        )
        call = self._record.open(key, kind, name, now, time.time())
        try:
            steps = await self._decide(request, call)
            player = Player(
                request,
                self._record,
                call,
                self._headers(call),
                settings=self._settings,
                hurry=self._hurry,
            )
            return await player.play(steps)
        except asyncio.CancelledError:
            self._record.end(call, "stopped" if self.stopping else "client_left", time.monotonic())
            raise
        except ConnectionResetError:
            self._record.end(call, "client_left", time.monotonic())
            return web.Response()  # the client has gone

    async def _decide(self, request: web.Request, call: Call) -> Iterable[Played]:
        try:
            # Before any await: limits count from the arrival of the head.
            self._admit(call)
            body = await _json(request)
            steps = self._steps_of[call.kind](call, body, request.headers)
        except Refused as refused:
            return self._refusal(call, refused)
        except Malformed as malformed:
            return self._refusal(call, Refused(400, str(malformed)))
        first = next(steps)
        if isinstance(first, Status) and first.status >= 400:
            call.bill = None
        return chain([first], steps)

    def _admit(self, call: Call) -> None:
        holder = holder_of(call.key, self._settings)
        if holder is None:
            raise Refused(401)
        excesses = self._record.judge(call, holder)
        if excesses and self._settings.enforce:
            raise Refused(429, after=max(excess.retry_after for excess in excesses))
        self._record.start(call, holder)
        if holder.always_limited:
            raise Refused(429)
        if self._record.account(holder).points <= 0:
            raise Refused(402)

    def _refusal(self, call: Call, refused: Refused) -> Iterator[Played]:
        failure, message = refused.failure, refused.message
        self._record.end(call, "refused", time.monotonic(), failure.status)
        if call.kind == "bot" and self._settings.bot_errors == "event":
            events = [failures.as_event(failure, message), DONE]
            return encode(events, self._settings.line_end)
        if call.kind == "messages":
            return encode([message_events.as_status(failure, message)])
        return encode([failures.as_status(failure, self._settings.error_shape, message)])

    def _bot_steps(self, call: Call, body: Any, _: Mapping[str, str]) -> Iterator[Played]:
        if isinstance(body, dict) and body.get("type") in _REPORTS:
            return encode([Status(200, {})])
        ask = from_query(body)
        who = self._catalogue.who_answers(call.bot)
        if who is None:
            raise Refused(404)
        self._check_attachments(call, ask)
        stop = ask.stop if self._settings.bot_stop == "honoured" else ()
        ask, who = self._asked(call, ask, who)
        head = self._head(call, ask) if ask.tools and who.bot.tools else None
        plain = bool(ask.done) and self._settings.text_after_results == "text"
        steps = self._steps(call, ask, who, stop)
        return encode(steps, self._settings.line_end, head, plain=plain)

    def _chat_steps(self, call: Call, body: Any, _: Mapping[str, str]) -> Iterator[Played]:
        call.bot = chat.model_of(body)
        who = self._catalogue.who_answers(call.bot)
        if who is None or who.bot.private:
            raise Refused(404)
        ask = chat.from_request(body, who.model, self._settings)
        stop = ask.stop if self._settings.stop == "honoured" else ()
        ask, who = self._asked(call, ask, who)
        form = chat.form_of(body, self._head(call, ask), self._settings)
        return chat.render(self._steps(call, ask, who, stop), form)

    def _messages_steps(
        self, call: Call, body: Any, headers: Mapping[str, str]
    ) -> Iterator[Played]:
        call.bot = chat.model_of(body)
        who = self._catalogue.who_answers(call.bot)
        if who is None or who.bot.private:
            raise Refused(404)
        if "/v1/messages" not in who.model.endpoints:
            # What users got for other vendors' models in November 2025.
            raise Refused(500)
        ask, form = read_message(body, headers, who.model, self._settings)
        self._record.headers.append(dict(headers))
        ask, who = self._asked(call, ask, who)
        cached = self._cached(call, ask, form)
        meter = Meter(
            sum(cached.values()),
            cached["cache_read_input_tokens"],
            cached["cache_creation_input_tokens"],
        )
        steps = self._steps(call, ask, who, ask.stop, meter)
        return message_events.render(steps, self._head(call, ask), form, cached)

    def _cached(self, call: Call, ask: Ask, form: Form) -> dict[str, int]:
        """Return how many tokens an account's caches give, and take."""
        own = [((call.account or "", name), words) for name, words in form.prefixes]
        read = max((words for known, words in own if known in self._caches), default=0)
        self._caches |= {known for known, _ in own}
        return {
            "input_tokens": ask.prompt_tokens,
            "cache_creation_input_tokens": max((words for _, words in own), default=0) - read,
            "cache_read_input_tokens": read,
        }

    def _responses_steps(self, call: Call, body: Any, _: Mapping[str, str]) -> Iterator[Played]:
        call.bot = chat.model_of(body)
        who = self._catalogue.who_answers(call.bot)
        if who is None or who.bot.private:
            raise Refused(404)
        ask, wanted = responses.from_request(body, who.model, self._settings)
        ask, who = self._asked(call, ask, who)
        if ask.wants_json and self._settings.formats == "kept":
            who = who.with_json()
        head = msgspec.structs.replace(self._head(call, ask), id=f"resp_{uuid.uuid4().hex}")
        return response_events.render(self._steps(call, ask, who, ()), head, wanted, self._settings)

    def _asked(self, call: Call, ask: Ask, who: Answerer) -> tuple[Ask, Answerer]:
        call.conversation = ask.conversation
        self._record.bodies.append(ask.received)
        who = who.with_tools() if ask.tools or ask.done else who
        attempt = self._record.times_asked(call.bot.lower(), ask.conversation)
        known = {"variant": who.variant, "attempt": attempt, "shape": self._settings.error_shape}
        return msgspec.structs.replace(ask, **known), who

    def _steps(
        self,
        call: Call,
        ask: Ask,
        who: Answerer,
        stop: tuple[str, ...],
        meter: Meter | None = None,
    ) -> Iterable[Step]:
        if ask.tools and not who.bot.tools and self._settings.tools_unsupported == "refused":
            return failures.no_tools()
        meter = meter or Meter(ask.prompt_tokens)
        call.bill = lambda: self._row(call, who.model, meter)
        steps = who.bot.play(ask)
        return meter.count(steps if who.bot.exact else limited(steps, stop, ask.max_tokens))

    def _row(self, call: Call, model: Model, meter: Meter) -> Row:
        now = time.time()
        return Row(
            call.started_at if self._settings.history_time == "start" else now,
            self._catalogue.display_name(call.bot),
            charge(model, meter, self._settings),
            key_name=name_of(call.key),
            visible=now + self._history.delay,
        )

    def _head(self, call: Call, ask: Ask) -> Head:
        identifier = f"chatcmpl-{uuid.uuid4().hex}"
        return Head(identifier, call.bot, int(call.started_at), ask.prompt_tokens)

    def _check_attachments(self, call: Call, ask: Ask) -> None:
        taken = self._settings.attachments
        if taken == "any":
            return
        own = {each.url for each in self._record.uploads if each.account == call.account}
        for attachment in ask.attachments:
            if not attachment.is_poes:
                raise Malformed(f"attachments: {attachment.name} is at a foreign URL")
            if taken == "own" and attachment.url not in own | {IMAGE_URL}:
                raise Malformed(f"attachments: {attachment.name} is not a file of this account")

    def _headers(self, call: Call) -> dict[str, str]:
        if call.kind == "bot":
            return self._rate_headers(call) if self._settings.bot_rate_headers else {}
        mode = "legacy" if self._settings.validation == "legacy" else "strict"
        return {
            "x-request-id": uuid.uuid4().hex,
            "openai-processing-ms": str(int((time.monotonic() - call.started) * 1000)),
            "openai-version": "2020-10-01",
            "x-poe-feature-active": f"chat-completions-{mode}",
            **self._rate_headers(call),
        }

    def _rate_headers(self, call: Call) -> dict[str, str]:
        holder = holder_of(call.key, self._settings)
        if holder is None or holder.limits.rate_limit is None:
            return {}
        remaining = self._record.account(holder).remaining(holder.limits, time.monotonic())
        return {
            "x-ratelimit-limit-requests": str(holder.limits.rate_limit),
            "x-ratelimit-remaining-requests": str(remaining),
            "x-ratelimit-reset-requests": str(int(holder.limits.window)),
        }


def bearer(request: web.Request) -> str:
    """Return the key of a request; empty if there is none."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


async def _json(request: web.Request) -> Any:
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Malformed("The body is not JSON.") from error
