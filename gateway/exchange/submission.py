"""The jobs of one request, and their way into the queue and out of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Any

import msgspec

from contract import keys
from contract.budgets import Budget
from contract.calls.gateway import NO_BLOBS, Billing, Kept, Rejection, Resumable
from contract.config import model_settings
from contract.lifetimes import JOB_LIFE
from contract.messages import Job, Model, Native, Options
from gateway.config import AccessToken, GatewayConfig
from gateway.dialect import Ask, Endpoint, Headers, RateLimit
from gateway.exchange import admission, points
from gateway.exchange.blobs import Blobs
from gateway.exchange.bodies import digest_of
from gateway.exchange.estimate import points_of
from gateway.exchange.heads import reasoning_of, written
from gateway.exchange.idempotency import Attachment, attach, name_of
from gateway.exchange.native import is_wanted
from gateway.exchange.reader import Reader, grace_of
from gateway.exchange.resends import attach_resent, sending_of
from gateway.exchange.services import Services
from gateway.http import Request
from gateway.problems import Kind, Problem, problem_of, too_large_to_store
from gateway.queue.faults import no_queue
from gateway.queue.jobs import TooLarge
from store.faults import RedisFault


class Submission(Reader):
    """One request on its way through the queue.

    `endpoint` is the one that was asked; `blobs` has the content that the messages name.
    `budgets` are those in which it counts. `tell_limit` hears how often the client may ask, if
    that is limited; `tell_points` gets the headers about points.
    """

    def __init__(
        self,
        services: Services,
        endpoint: Endpoint[Any],
        *,
        request: Request,
        client: AccessToken,
        ask: Ask,
        blobs: Blobs,
        budgets: Sequence[Budget],
        tell_limit: Callable[[RateLimit], None],
        tell_points: Callable[[Headers], None],
    ) -> None:
        """Raises Problem for what the client may not have at all."""
        super().__init__(services, client)
        config = services.config
        admission.check_choices(ask.choices, config, client)
        self._endpoint = endpoint
        self._ask = ask
        self._blobs = blobs
        self._budgets = budgets
        self._tell_limit = tell_limit
        self._tell_points = tell_points
        model = services.models.resolve(ask.model, client.models)
        listed = services.models.listed(model)
        options = ask.options_for(listed)
        native = self._native(request, model, listed)
        self.jobs = _numbered(_first_job(ask, client.client, model, options, native), ask.choices)
        """One for each choice."""
        longest, asked = config.queue_timeout, request.plain_header("x-queue-timeout")
        self.patience = admission.patience(longest, asked)
        self.name = name_of(request, client.client, ask.choices)
        """What its client calls the answer."""
        self._sending = sending_of(request)
        self._attachment: Attachment | None = None
        self._kept_as = _reader_of_kept(ask, config)
        self._estimate = points_of(ask, options, listed, config.default_points)
        self._refusal = self._reason_to_refuse()
        """Why it is not begun, unless another request has begun it."""

    @property
    def is_attached(self) -> bool:
        """Whether another request has begun the answer."""
        return self._attachment is not None and not self._attachment.is_new

    @property
    def resumable(self) -> Resumable | None:
        """This request as a reader of an answer that others may read, too."""
        return self._attachment.resumable if self._attachment else self._kept_as

    async def claim(self) -> None:
        """Find the answer that this request belongs to, if another has begun it. Raises Problem."""
        self._attachment = found = await self._attach()
        if found is not None and not found.is_new:
            first = msgspec.structs.replace(
                self.jobs[0], id=found.job, created=float(found.created)
            )
            self.jobs = _numbered(first, self._ask.choices)

    async def submit(self) -> None:
        """Queue the jobs, or join the readers of those that are there. Raises Problem."""
        if self._refusal and not self.is_attached:
            raise self._refusal
        terms = self.terms()
        try:
            reply = await self._services.hub.jobs.submit(
                self.jobs[0],
                len(self.jobs),
                terms,
                self.resumable,
                blobs=self._blobs,
                kept=self._kept(),
                billing=self._billing(),
            )
        except TooLarge:
            raise too_large_to_store(min(terms.max_stored, terms.max_stored_total)) from None
        except RedisFault as fault:
            raise no_queue(fault) from None
        if isinstance(reply, Rejection):
            if reply.reason == "short":
                estimate = self._estimate * len(self.jobs)
                self._tell_points(points.of_refusal(reply, estimate, self._budgets))
                raise points.short_of_points(reply, estimate, self._budgets)
            problem = admission.rejected(reply, self.wait())
            if problem.kind is Kind.RATE_LIMITED:
                self._tell(0, problem.retry_after or 0.0)
            raise problem
        self._ticket = reply
        # They are in Redis now, and the answer may take long.
        self._blobs = NO_BLOBS
        self._tell(reply.asks_left, reply.asks_reset)
        estimate = self._estimate * len(self.jobs)
        self._tell_points(points.of_ticket(reply, estimate, self._budgets))

    async def withdraw(self) -> bool:
        """Take the jobs out of the queue, unless a call may have cost something.

        Returns whether they are out. Raises RedisFault.
        """
        jobs = self._services.hub.jobs
        return await jobs.withdraw(self.jobs[0].id, len(self.jobs), self.resumable)

    def _native(self, request: Request, model: str, listed: Model | None) -> Native | None:
        """Return the request as it came, if a worker may send it so."""
        native, models = self._ask.native, self._services.config.models
        setting = model_settings(models, model, self._ask.model)
        if native is None or not is_wanted(native, listed, setting):
            return None
        headers = request.ascii_headers(self._endpoint.forwards)
        return msgspec.structs.replace(native, headers=headers)

    async def _attach(self) -> Attachment | None:
        config, jobs, may_begin = self._services.config, self._services.hub.jobs, not self._refusal
        if self.name is not None:
            return await attach(
                jobs,
                self.name,
                self._digest(),
                self.jobs[0],
                may_begin=may_begin,
                grace=grace_of(config, in_background=self._ask.in_background),
                keep=config.resume_window,
            )
        if self._sending is None or not config.resend_hold:
            return None
        return await attach_resent(
            jobs,
            self._sending,
            self._digest(),
            self.jobs,
            may_begin=may_begin,
            grace=JOB_LIFE if self._ask.in_background else config.resend_hold,
            hold=config.resend_hold,
        )

    def _digest(self) -> str:
        return self._ask.digest or digest_of(self._endpoint.name, self._ask)

    def _kept(self) -> Kept | None:
        """Return what is kept of the request, if its answer is."""
        keep, config, job = self._ask.keep, self._services.config, self.jobs[0]
        if keep is None or self.is_attached:
            return None
        most, most_in_all = admission.most_kept(config, self._services.fleet.last.maxmemory)
        return Kept(
            head=written(self._ask, job, reasoning_of(config, self._ask, job)),
            input=keep.items,
            previous=self._ask.previous,
            background=keep.background,
            life=config.response_life,
            most=most,
            most_in_all=most_in_all,
        )

    def _billing(self) -> Billing:
        client = self._client
        model, budgets = self._ask.model, tuple(self._budgets)
        return Billing(client.name, client.group, model, self._estimate, budgets)

    def _reason_to_refuse(self) -> Problem | None:
        if failed := admission.hopeless(self._services.fleet.last):
            return problem_of(failed)
        return admission.too_long(self.wait(), self.patience)

    def _tell(self, left: int | None, reset: float) -> None:
        if self._client.rate_limit is not None and left is not None:
            self._tell_limit(RateLimit(self._client.rate_limit, left, reset))


def _reader_of_kept(ask: Ask, config: GatewayConfig) -> Resumable | None:
    if ask.keep is None:
        return None
    grace = grace_of(config, in_background=ask.keep.background)
    return Resumable("", token_hex(6), grace, config.resume_window)


def _first_job(ask: Ask, client: str, model: str, options: Options, native: Native | None) -> Job:
    return Job(
        id=token_hex(12),
        client=client,
        model=model,
        messages=ask.messages,
        options=options,
        created=time.time(),
        stream=ask.stream,
        native=native,
    )


def _numbered(job: Job, choices: int) -> list[Job]:
    """Return a job for each choice; the names of all follow from the first one's."""
    return [
        msgspec.structs.replace(job, id=keys.choice(job.id, number)) for number in range(choices)
    ]
