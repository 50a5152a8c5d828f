"""Anthropic's API."""

from __future__ import annotations

from gateway.anthropic import errors, models
from gateway.anthropic.answer import MessageCollector
from gateway.anthropic.count import counted
from gateway.anthropic.request import MessagesAsk, parse_message
from gateway.anthropic.stream import MessageEncoder
from gateway.dialect import Endpoint, Frame, Headers, Inquiry, Page, RateLimit, Reply
from gateway.problems import Problem

_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


class Anthropic:
    """The dialect of Anthropic's Messages API."""

    name = "anthropic"
    mark = "anthropic-version"
    longest_silence = 13.0
    """Seconds. Clients want an event at least every 15, and silence is looked at once a second."""
    endpoints = (
        Endpoint(
            "messages",
            "/messages",
            MessagesAsk,
            parse_message,
            MessageEncoder,
            MessageCollector,
            forwards=("anthropic-beta",),
        ),
    )
    inquiries = (
        Inquiry("count_tokens", "/messages/count_tokens", MessagesAsk, parse_message, counted),
    )
    pages = (
        Page("/models", models.listing),
        Page("/models/", models.one),
        Page("/api/hello", models.hello, is_open=True),
    )
    exposed = errors.EXPOSED

    def headers(self, request_id: str) -> Headers:
        """Return the id as Anthropic's clients know it."""
        return [("request-id", request_id)]

    def error(self, problem: Problem, request_id: str) -> Reply:
        """Give a problem its status, headers and body."""
        return errors.reply(problem, request_id)

    def stamp(self, frame: Frame, event_id: str) -> Frame:
        """Put the id into the event, as in the other dialects."""
        return Frame(f'{frame.data.rstrip()[:-1]},"event_id":"{event_id}"}}', frame.event)

    def rate_limit_headers(self, limit: RateLimit) -> Headers:
        """Return Anthropic's headers, without the time of day that its `reset` is."""
        return [
            ("anthropic-ratelimit-requests-limit", str(limit.limit)),
            ("anthropic-ratelimit-requests-remaining", str(limit.remaining)),
        ]

    def keep_alive(self, position: int | None = None, eta: float | None = None) -> bytes:  # noqa: ARG002
        """Render an event: clients that wait count no comments."""
        return _PING


ANTHROPIC = Anthropic()
