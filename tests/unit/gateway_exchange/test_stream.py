"""One stream to its client, and what becomes of it when its rendering fails."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from contract.messages import Event, Record, Text
from gateway.exchange.answer import Answer
from gateway.exchange.backpressure import Pace
from gateway.exchange.stream import Stream
from gateway.openai.errors import internal_error
from gateway.openai.response import Head, StreamRenderer
from tests.unit.gateway.test_request import Client, request_of


class Faulty(StreamRenderer):
    """Renders one word, and no more."""

    def feed(self, choice: int, events: Collection[Event]) -> list[str]:  # type: ignore[override]
        if Text("two") in events:
            raise ArithmeticError("a fault of ours")
        return super().feed(choice, events)


async def test_a_stream_that_fails_by_our_own_fault_ends_in_an_error() -> None:
    client, answer = Client(), Answer()
    request = request_of(client)
    stream = Stream(request, answer, Faulty(Head("j", 1, "Test", 3)), [], Pace(1))
    answer.flow_to(stream.write)

    for seq, word in enumerate(("one", "two", "three"), 1):
        answer.take(0, Record("j", 1, seq, (Text(word),)))
    with pytest.raises(ArithmeticError):
        await answer.over()
    # As the app does, once the exchange is over.
    stream.stop()
    request.respond_error(internal_error())
    request.close()

    *_, said, error, rest = client.body.split(b"\n\n")
    assert b'"content":"one"' in said
    assert error.startswith(b'data: {"error":{')
    assert rest == b""
    assert client.ended
