"""What an upstream may add to the headers of a request to Poe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from contract.messages import Job, Message
from worker.openai import UPSTREAM
from worker.poe.client import PoeClient
from worker.poe.faults import Fault, FaultKind
from worker.poe.http1 import OPEN
from worker.poe.upstream import Ask, Request

ASK = Ask(Job("j", "c", "Bot", (Message("user", "Hi"),)))


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer another"),
        ("authorization", "Bearer another"),
        ("x-note", "a\r\nAuthorization: Bearer another"),
        ("x-note", "a\nb"),
        ("x-note\r\nAuthorization: Bearer another\r\nx", "a"),
    ],
)
async def test_no_header_of_an_upstream_can_name_another_key(header: tuple[str, str]) -> None:
    upstream = replace(UPSTREAM, request=lambda _: Request("/x", b"{}", headers=(header,)))

    async with PoeClient("http://poe.invalid", max_connections=1) as poe:
        with pytest.raises(Fault) as refused:
            poe.answer(upstream, ASK, "secret", gate=OPEN)

    assert refused.value.kind is FaultKind.BAD_REQUEST
    assert not refused.value.sent


async def test_other_headers_of_an_upstream_are_passed_on() -> None:
    header = ("anthropic-version", "2023-06-01")
    upstream = replace(UPSTREAM, request=lambda _: Request("/x", b"{}", headers=(header,)))

    async with PoeClient("http://poe.invalid", max_connections=1) as poe:
        assert poe.answer(upstream, ASK, "secret", gate=OPEN) is not None
