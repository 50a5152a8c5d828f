"""Responses that are kept, by OpenAI's own Python client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.clients.service import Service, until

SLOW = "count to 400 every 20ms"


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=service.base_url,
        api_key=service.key,
        max_retries=0,
        _strict_response_validation=True,
    ) as openai:
        yield openai


def test_a_response_is_retrieved_as_it_was_made(client: OpenAI) -> None:
    made = client.responses.create(model="Echo", input="Grüße, 世界 🙂")

    assert client.responses.retrieve(made.id) == made


def test_a_response_that_is_not_stored_cannot_be_retrieved(client: OpenAI) -> None:
    made = client.responses.create(model="Echo", input="hi", store=False)

    with pytest.raises(NotFoundError):
        client.responses.retrieve(made.id)


def test_a_background_response_is_polled_until_it_is_there(client: OpenAI) -> None:
    asked = "count to 3 every 1s"  # not over before the first answer has come
    made = client.responses.create(model="Count", input=asked, background=True)
    assert made.status in ("queued", "in_progress")

    until(lambda: client.responses.retrieve(made.id).status == "completed", "the response")

    assert client.responses.retrieve(made.id).output_text == "1 2 3"


def test_a_background_stream_is_left_and_taken_up_again(client: OpenAI) -> None:
    asked = "count to 20 every 20ms"
    with client.responses.create(
        model="Count", input=asked, background=True, stream=True
    ) as stream:
        had = [event for _, event in zip(range(6), stream, strict=False)]
    first = had[0]
    assert first.type == "response.created"

    rest = list(
        client.responses.retrieve(
            first.response.id, stream=True, starting_after=had[-1].sequence_number
        )
    )

    events = [*had, *rest]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    end = events[-1]
    assert end.type == "response.completed"
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(said) == end.response.output_text == " ".join(map(str, range(1, 21)))


def test_a_background_response_is_cancelled_and_its_call_ended(
    client: OpenAI, service: Service
) -> None:
    made = client.responses.create(model="Count", input=SLOW, background=True)
    until(lambda: client.responses.retrieve(made.id).output, "the first words")

    cancelled = client.responses.cancel(made.id)

    assert cancelled.status == "cancelled"
    assert client.responses.cancel(made.id) == cancelled
    until(lambda: service.calls("Count")[-1].outcome == "client_left", "the end of the call")
    events = list(client.responses.retrieve(made.id, stream=True))
    end = events[-1]
    assert end.type == "response.failed"
    assert end.response.status == "cancelled"


def test_a_response_that_ends_with_its_client_is_not_cancelled(client: OpenAI) -> None:
    made = client.responses.create(model="Echo", input="hi")

    with pytest.raises(BadRequestError, match="background"):
        client.responses.cancel(made.id)


def test_a_conversation_goes_on_without_its_instructions(client: OpenAI, service: Service) -> None:
    first = client.responses.create(model="GPT-4o", input="one", instructions="Be brief.")
    second = client.responses.create(
        model="GPT-4o", input="two", previous_response_id=first.id, instructions="Be long."
    )
    client.responses.create(model="GPT-4o", input="three", previous_response_id=second.id)

    assert second.previous_response_id == first.id
    said = [(each["role"], each["content"]) for each in service.asked["messages"]]
    assert said == [
        ("user", "one"),
        ("assistant", first.output_text),
        ("user", "two"),
        ("assistant", second.output_text),
        ("user", "three"),
    ]


def test_the_result_of_a_call_goes_to_the_response_that_asked_for_it(client: OpenAI) -> None:
    tool = {"type": "function", "name": "Weather", "strict": False, "parameters": {}}
    question = 'call Weather {"city": "Paris"}'
    first = client.responses.create(model="Tool", input=question, tools=[tool])  # type: ignore[list-item]
    (call,) = [item for item in first.output if item.type == "function_call"]

    second = client.responses.create(
        model="Tool",
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sun"}],
        tools=[tool],  # type: ignore[list-item]
    )

    assert second.output_text == "Weather says: sun"


def test_the_input_is_listed_page_by_page(client: OpenAI) -> None:
    first = client.responses.create(model="Echo", input="one")
    second = client.responses.create(
        model="Echo",
        previous_response_id=first.id,
        input=[{"role": "user", "content": f"two {n}"} for n in range(3)],
    )

    pages = client.responses.input_items.list(second.id, limit=2, order="asc")

    texts = [item.content[0].text for item in pages]  # type: ignore[union-attr]
    assert texts == ["one", "one", "two 0", "two 1", "two 2"]


def test_a_response_is_deleted(client: OpenAI) -> None:
    made = client.responses.create(model="Echo", input="hi")

    client.responses.delete(made.id)

    for call in (client.responses.retrieve, client.responses.delete):
        with pytest.raises(NotFoundError, match="deleted"):
            call(made.id)
    with pytest.raises(BadRequestError) as refused:
        client.responses.create(model="Echo", input="hi", previous_response_id=made.id)
    assert refused.value.code == "previous_response_not_found"
