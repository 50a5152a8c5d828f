"""Attaching to an answer without an idempotency key: a request that its client sends again.

Official SDKs count their retries, and Claude Code sends the session that a request is of. By these
headers a request joins the answer of an equal one which its client has given up, or lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex
from typing import Literal

from contract import keys
from contract.calls.gateway import Claimed, Resend, Resumable
from contract.messages import Job
from gateway.exchange.idempotency import Attachment
from gateway.http import Request
from gateway.queue.faults import no_queue
from gateway.queue.jobs import Jobs
from store.faults import RedisFault

RETRIES = "x-stainless-retry-count"
"""Of OpenAI's and Anthropic's SDKs: how often the request was sent before; 0 in first tries."""

SESSION, AGENT = "x-claude-code-session-id", "x-claude-code-agent-id"
"""Of Claude Code, which counts nothing: it sends the same request of a session again."""

_MOST_DIGITS = 9


@dataclass(frozen=True)
class Sending:
    """What a request's headers say of how it was sent."""

    sender: str
    """The session and the agent in it; empty where no session is named."""
    is_retry: bool

    @property
    def sent(self) -> Literal["", "session", "retry"]:
        """What says that the request may have been sent before."""
        if self.is_retry:
            return "retry"
        return "session" if self.sender else ""


def sending_of(request: Request) -> Sending | None:
    """Return how a request was sent; None for a client that says nothing of it."""
    count, session = request.header(RETRIES), request.header(SESSION)
    counts = count.isdecimal() and len(count) <= _MOST_DIGITS
    if not counts and not session:
        return None
    sender = f"{session}\n{request.header(AGENT)}" if session else ""
    return Sending(sender, counts and int(count) > 0)


async def attach_resent(
    jobs: Jobs,
    sending: Sending,
    digest: str,
    asked: Sequence[Job],
    *,
    may_begin: bool,
    grace: float,
    hold: float,
) -> Attachment | None:
    """Return the answer that a request belongs to, which its own jobs begin if none is found.

    `digest` is that of its body, `asked` has a job for each choice. `grace` is how many seconds the
    answer goes on without readers, `hold` how many it is then kept for them. Returns None where
    none is found and `may_begin` is false. Raises Problem if Redis cannot tell.
    """
    first = asked[0]
    # A session is a name of the client's own, of any length.
    hashed = sha256(f"{digest}\n{sending.sender}".encode()).hexdigest()[:32]
    name = keys.idempotency(first.client, hashed)
    found: Claimed | None = Claimed(first.id, int(first.created))
    # A first try looks for nothing; that it is refused is noted, as it will be sent again.
    if sending.sent or not may_begin:
        resend = Resend(
            name=name,
            job=first.id if may_begin else "",
            sent=sending.sent,
            choices=len(asked),
            created=int(first.created),
        )
        try:
            found = await jobs.find_resent(resend)
        except RedisFault as fault:
            raise no_queue(fault) from None
    if found is None:
        return None
    resumable = Resumable(keys.of_tries(name), token_hex(6), grace, hold)
    return Attachment(found.job, found.created, found.job == first.id, resumable)
