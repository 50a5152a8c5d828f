"""Attaching to an answer by name, so that a request that comes again reads the same answer.

A client names its answer with an `Idempotency-Key`, and says with `Last-Event-ID` how much of it
it has. Only the first request with a name begins jobs; every later one joins their readers.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex

from contract import keys
from contract.calls.gateway import Resumable
from contract.messages import Job
from gateway.exchange.resume import Place, beyond_start, places, refusal_of, unknown_event_id
from gateway.http import Request
from gateway.problems import idempotency_mismatch, invalid_idempotency_key
from gateway.queue.faults import no_queue
from gateway.queue.jobs import Jobs, Mismatch
from store.faults import RedisFault

MAX_KEY = 255
"""Characters of an idempotency key."""


@dataclass(frozen=True)
class Name:
    """The name of an answer, and what its client has of it."""

    key: str
    """In Redis."""
    seen: tuple[Place, ...]
    """A place for each choice."""


@dataclass(frozen=True)
class Attachment:
    """The answer that a name leads to, and this request as one of its readers."""

    job: str
    """The job of its first choice."""
    created: int
    """Unix time in seconds."""
    is_new: bool
    """Whether this request is the one to begin it."""
    resumable: Resumable


def name_of(request: Request, client: str, choices: int) -> Name | None:
    """Return the name that a request gives its answer, if any. Raises Problem."""
    given = request.plain_header("idempotency-key")
    event_id = request.plain_header("last-event-id")
    if given is None:
        if event_id:
            raise refusal_of(event_id)
        return None
    seen = tuple(places(event_id or "0", choices))
    return Name(keys.idempotency(client, idempotency_key(given)), seen)


def idempotency_key(given: str) -> str:
    """Return what stands for a client's idempotency key in Redis. Raises Problem."""
    if not 1 <= len(given) <= MAX_KEY or not (given.isascii() and given.isprintable()):
        raise invalid_idempotency_key()
    # A client may put anything there, secrets included.
    return sha256(given.encode()).hexdigest()[:32]


async def attach(
    jobs: Jobs, name: Name, digest: str, job: Job, *, may_begin: bool, grace: float, keep: float
) -> Attachment | None:
    """Return the answer of this name, which `job` begins if nobody has.

    `digest` is that of the request's body. Returns None where nobody has begun the answer and
    `may_begin` is false. `grace` is how many seconds it goes on without readers, and `keep` how
    many it can be had after its end. Raises Problem if the name belongs to another body, if the
    answer is not kept as far as the client has it, or if Redis cannot tell.
    """
    try:
        found = await jobs.claim(name.key, digest, job.id if may_begin else "", int(job.created))
        if found is None:
            return None
        if job.stream and not await _has(jobs, found.job, name.seen):
            # Asked for anew, it would lack its beginning.
            raise unknown_event_id()
    except Mismatch:
        raise idempotency_mismatch() from None
    except RedisFault as fault:
        raise no_queue(fault) from None
    resumable = Resumable(name.key, token_hex(6), grace, keep)
    return Attachment(found.job, found.created, found.job == job.id, resumable)


async def _has(jobs: Jobs, job: str, seen: tuple[Place, ...]) -> bool:
    had = [
        (keys.choice(job, number), f"{epoch}-{seq}")
        for number, (epoch, seq, _) in enumerate(seen)
        if beyond_start((epoch, seq, 0))
    ]
    return not had or await jobs.have(had)
