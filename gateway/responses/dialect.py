"""OpenAI's Responses API."""

from __future__ import annotations

import math
from typing import Any

from gateway.dialect import Endpoint, Frame, Headers, Inquiry, Page, RateLimit, Reply
from gateway.problems import Problem
from gateway.render import openai_errors, openai_http
from gateway.responses.answer import ResponseCollector
from gateway.responses.archive import ARCHIVE
from gateway.responses.errors import worded
from gateway.responses.request import ResponsesAsk, parse_response
from gateway.responses.stream import ResponseEncoder


class Responses:
    """The dialect of OpenAI's Responses API."""

    name = "responses"
    mark = ""
    longest_silence = math.inf
    endpoints = (
        Endpoint(
            "responses",
            "/responses",
            ResponsesAsk,
            parse_response,
            ResponseEncoder,
            ResponseCollector,
            archive=ARCHIVE,
        ),
    )
    pages: tuple[Page, ...] = ()
    inquiries: tuple[Inquiry[Any], ...] = ()
    exposed = openai_http.EXPOSED

    def headers(self, request_id: str) -> Headers:  # noqa: ARG002
        """Return no headers: OpenAI's are those of all dialects."""
        return []

    def error(self, problem: Problem, request_id: str) -> Reply:  # noqa: ARG002
        """Give a problem its status, headers and body."""
        return openai_errors.reply(worded(problem))

    def stamp(self, frame: Frame, event_id: str) -> Frame:
        """Put the id into the event: openai-python fails on `id:` lines beside comments."""
        return Frame(f'{frame.data[:-1]},"event_id":"{event_id}"}}', frame.event)

    def rate_limit_headers(self, limit: RateLimit) -> Headers:
        """Return the headers that OpenAI's API has for this."""
        return openai_http.rate_limit_headers(limit)

    def keep_alive(self, position: int | None = None, eta: float | None = None) -> bytes:
        """Render a comment, which every client skips."""
        return openai_http.keep_alive(position, eta)


RESPONSES = Responses()
