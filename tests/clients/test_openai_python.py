"""OpenAI's own Python client, its strict validation switched on, sync and async."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from openai import (
    APIError,
    APIStatusError,
    APITimeoutError,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    LengthFinishReasonError,
    NotFoundError,
    OpenAI,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
    pydantic_function_tool,
)
from openai.types.chat import ChatCompletionMessage, ChatCompletionMessageParam
from pydantic import BaseModel

from tests.clients.service import ONE_AT_A_TIME, Service, running_service, until

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(40)).decode()


class Weather(BaseModel):
    """Tells the weather in a city."""

    city: str
    days: int = 1


class Step(BaseModel):
    explanation: str
    output: float


class Solution(BaseModel):
    steps: list[Step]
    answer: str
    certain: bool | None


def user(content: Any) -> ChatCompletionMessageParam:
    return {"role": "user", "content": content}


@pytest.fixture
def client(service: Service) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=service.base_url, api_key=service.key, _strict_response_validation=True
    ) as openai:
        yield openai


@pytest.fixture
async def aclient(service: Service) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(
        base_url=service.base_url, api_key=service.key, _strict_response_validation=True
    ) as openai:
        yield openai


# Text.


def test_an_answer_comes_whole(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="Echo", messages=[user("Grüße, 世界 🙂")])

    assert answer.choices[0].message.content == "Grüße, 世界 🙂"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id


def test_an_answer_is_streamed_with_one_role_one_reason_and_the_usage_last(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="Count",
            messages=[user("count to 30")],
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    *told, usage = chunks
    deltas = [chunk.choices[0] for chunk in told]
    text = "".join(delta.delta.content or "" for delta in deltas)
    assert text == " ".join(str(n) for n in range(1, 31))
    assert [delta.delta.role for delta in deltas if delta.delta.role] == ["assistant"]
    assert deltas[0].delta.role == "assistant"
    assert [delta.finish_reason for delta in deltas if delta.finish_reason] == ["stop"]
    assert deltas[-1].finish_reason == "stop"
    assert not usage.choices
    assert usage.usage is not None
    assert {chunk.id for chunk in chunks} == {usage.id}


def test_nobody_gets_a_chunk_without_choices_unasked(client: OpenAI) -> None:
    stream = client.chat.completions.create(model="Echo", messages=[user("hello")], stream=True)

    assert all(chunk.choices for chunk in stream)


def test_the_stream_helper_makes_of_an_answer_what_it_was(client: OpenAI) -> None:
    with client.chat.completions.stream(model="Echo", messages=[user("hello there")]) as stream:
        events = list(stream)
        final = stream.get_final_completion()

    told = "".join(event.delta for event in events if event.type == "content.delta")
    assert told == "hello there"
    assert [event.content for event in events if event.type == "content.done"] == ["hello there"]
    assert final.choices[0].message.role == "assistant"
    assert final.choices[0].message.content == "hello there"


async def test_the_stream_helper_does_the_same_when_awaited(aclient: AsyncOpenAI) -> None:
    async with aclient.chat.completions.stream(model="Echo", messages=[user("hello")]) as stream:
        told = [event.delta async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()

    assert "".join(told) == final.choices[0].message.content == "hello"


def test_raw_and_streamed_responses_have_the_headers(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="Echo", messages=[user("hello")])
    assert raw.headers["x-request-id"] == raw.request_id
    assert raw.parse().choices[0].message.content == "hello"

    with client.chat.completions.with_streaming_response.create(
        model="Echo", messages=[user("hello")], stream=True
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    assert response.headers["content-type"].startswith("text/event-stream")
    assert lines[-1] == "data: [DONE]"


async def test_thirty_streams_at_once_do_not_mix(aclient: AsyncOpenAI) -> None:
    async def ask(number: int) -> str:
        stream = await aclient.chat.completions.create(
            model="Count", messages=[user(f"count to {number} every 5ms")], stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    answers = await asyncio.gather(*(ask(number) for number in range(1, 31)))

    assert answers == [" ".join(str(n) for n in range(1, number + 1)) for number in range(1, 31)]


def test_several_choices_come_whole_and_streamed(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="Echo", messages=[user("hello")], n=2)
    assert [(c.index, c.message.content) for c in whole.choices] == [(0, "hello"), (1, "hello")]

    # Not by the helper: it takes the choices in order only, and each has its own pace.
    told = ["", ""]
    for chunk in client.chat.completions.create(
        model="Echo", messages=[user("hello")], n=2, stream=True
    ):
        for choice in chunk.choices:
            told[choice.index] += choice.delta.content or ""
    assert told == ["hello", "hello"]


@pytest.mark.parametrize("stop", ["7", ["x", "7"], ["a", "b", "c", "d", "7"]])
def test_an_answer_ends_before_a_stop_sequence(client: OpenAI, stop: Any) -> None:
    answer = client.chat.completions.create(
        model="Count", messages=[user("count to 30")], stop=stop
    )

    assert answer.choices[0].message.content == "1 2 3 4 5 6 "
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_answer_is_cut_at_either_bound(client: OpenAI, name: str) -> None:
    bound: Any = {name: 20}
    answer = client.chat.completions.create(model="Count", messages=[user("count to 30")], **bound)

    assert answer.choices[0].finish_reason == "length"
    assert (answer.choices[0].message.content or "").split() == [str(n) for n in range(1, 21)]


@pytest.mark.parametrize("stream", [False, True])
def test_thoughts_come_apart_from_the_answer(client: OpenAI, stream: bool) -> None:
    message: ChatCompletionMessage
    if stream:
        with client.chat.completions.stream(model="Reason", messages=[user("why?")]) as told:
            message = told.get_final_completion().choices[0].message
    else:
        made = client.chat.completions.create(model="Reason", messages=[user("why?")])
        message = made.choices[0].message

    assert message.content == "The answer to: why?"
    assert "why?" in getattr(message, "reasoning_content", "")


def test_an_assistant_message_can_be_sent_back_as_it_came(client: OpenAI) -> None:
    first = client.chat.completions.create(model="Reason", messages=[user("why?")])
    said: Any = first.choices[0].message

    answer = client.chat.completions.create(
        model="Echo", messages=[user("why?"), said, user("really?")]
    )

    assert answer.choices[0].message.content == "really?"


def test_developer_and_system_messages_are_delivered(service: Service, client: OpenAI) -> None:
    client.chat.completions.create(
        model="Roles",
        messages=[
            {"role": "developer", "content": "Be brief."},
            user([{"type": "text", "text": "Hi."}]),
        ],
    )

    assert {"role": "system", "content": "Be brief."} in service.asked["messages"]


# Files.


def test_images_sounds_and_files_are_seen(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="See",
        messages=[
            user(
                [
                    {"type": "text", "text": "Look:"},
                    {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "AAAA"}},
                ]
            )
        ],
    )

    seen = (answer.choices[0].message.content or "").splitlines()
    assert len(seen) == 4, seen
    assert "https://example.org/cat.png" in seen[0]
    assert "image/png" in seen[1]
    assert "application/pdf" in "\n".join(seen)


def test_pictures_are_made(client: OpenAI) -> None:
    made = client.images.generate(model="Draw", prompt="a cat", n=1, size="1024x1024")

    assert made.data is not None
    assert [str(image.url).startswith("https://") for image in made.data] == [True]


def test_a_picture_in_a_chat_is_a_link(client: OpenAI) -> None:
    with client.chat.completions.stream(model="Draw", messages=[user("a cat")]) as stream:
        text = stream.get_final_completion().choices[0].message.content or ""

    assert "](https://" in text


# Tools.


def test_several_tools_are_called_at_once_and_their_results_used(client: OpenAI) -> None:
    tools = [pydantic_function_tool(Weather)]
    messages: list[Any] = [
        user('call Weather {"city": "Paris", "days": 1}\ncall Weather {"city": "Rome", "days": 2}')
    ]
    asked = client.chat.completions.create(model="Tool", messages=messages, tools=tools)
    calls = asked.choices[0].message.tool_calls or []

    assert asked.choices[0].finish_reason == "tool_calls"
    given = [call.function.arguments for call in calls if call.type == "function"]
    assert [json.loads(arguments)["city"] for arguments in given] == ["Paris", "Rome"]
    assert len({call.id for call in calls}) == 2

    messages.append(asked.choices[0].message)
    messages += [
        {"role": "tool", "tool_call_id": call.id, "content": f"sun {n}"}
        for n, call in enumerate(calls)
    ]
    told = client.chat.completions.create(model="Tool", messages=messages, tools=tools)

    assert told.choices[0].message.content == "Weather says: sun 0\nWeather says: sun 1"
    assert told.choices[0].finish_reason == "stop"


def test_the_stream_helper_parses_tool_calls(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="Tool",
        messages=[
            user('call Weather {"city": "Paris", "days": 1} call Weather {"city": "A", "days": 2}')
        ],
        tools=[pydantic_function_tool(Weather)],
    ) as stream:
        done = [e for e in stream if e.type == "tool_calls.function.arguments.done"]
        message = stream.get_final_completion().choices[0].message

    assert [event.parsed_arguments for event in done] == [
        Weather(city="Paris", days=1),
        Weather(city="A", days=2),
    ]
    calls = message.tool_calls or []
    assert [call.function.name for call in calls] == ["Weather", "Weather"]
    assert [call.function.parsed_arguments for call in calls] == [e.parsed_arguments for e in done]


def test_the_stream_helper_parses_calls_that_come_mixed_and_counted_from_1(client: OpenAI) -> None:
    # given: two parallel calls, an object in place of arguments, and half a character in each
    begin = [
        {"index": n, "id": f"c{n}", "function": {"name": "Weather", "arguments": ""}}
        for n in (1, 2)
    ]
    fragments = [
        {"index": 2, "function": {"arguments": '{"city": "\ud83d'}},
        {"index": 1, "function": {"arguments": {"city": "Paris", "days": 1}}},
        {"index": 2, "function": {"arguments": '\ude00", "days": 2}'}},
    ]
    script = [
        *({"event": "json", "data": _chunk_of(fragment)} for fragment in begin),
        *(
            {"raw": f"event: json\ndata: {json.dumps(_chunk_of(fragment))}\n\n"}
            for fragment in fragments
        ),
        {"event": "done"},
    ]

    # when
    with client.chat.completions.stream(
        model="Scripted",
        messages=[user(json.dumps(script))],
        tools=[pydantic_function_tool(Weather)],
    ) as stream:
        done = [e for e in stream if e.type == "tool_calls.function.arguments.done"]
        choice = stream.get_final_completion().choices[0]

    # then
    wanted = [Weather(city="Paris", days=1), Weather(city="😀", days=2)]
    assert [event.parsed_arguments for event in done] == wanted
    calls = choice.message.tool_calls or []
    assert [(call.id, call.function.parsed_arguments) for call in calls] == [
        ("c1", wanted[0]),
        ("c2", wanted[1]),
    ]
    assert choice.finish_reason == "tool_calls"


def _chunk_of(fragment: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"delta": {"tool_calls": [fragment]}}]}


def test_a_tool_without_arguments_gets_an_empty_object(client: OpenAI) -> None:
    tool: Any = {"type": "function", "function": {"name": "now"}}
    asked = client.chat.completions.create(
        model="Tool", messages=[user("call now")], tools=[tool], tool_choice="required"
    )

    (call,) = asked.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.arguments == "{}"


async def test_an_agent_works_through_many_rounds(aclient: AsyncOpenAI) -> None:
    files = {"a.txt": "one"}
    tools: list[Any] = [
        _function("read_file", path="string"),
        _function("write_file", path="string", text="string"),
    ]
    messages: list[Any] = [
        user(
            'call read {"path": "a.txt"}\n'
            'call write {"path": "b.txt", "text": "two"}\n'
            'call read {"path": "b.txt"}'
        )
    ]
    rounds = 0
    while True:
        async with aclient.chat.completions.stream(
            model="Agent",
            messages=messages,
            tools=tools,
        ) as stream:
            message = (await stream.get_final_completion()).choices[0].message
        messages.append(message)
        if not message.tool_calls:
            break
        rounds += 1
        for call in message.tool_calls:
            given = json.loads(call.function.arguments)
            if call.function.name == "write_file":
                files[given["path"]] = given["text"]
            result = files[given["path"]]
            messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

    assert rounds == 3
    assert files == {"a.txt": "one", "b.txt": "two"}
    assert message.content == "All steps are done: 3. The last one gave: two"


def _function(name: str, **properties: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "function": {"name": name, "parameters": parameters, "strict": True},
    }


# Structured answers.


@pytest.mark.parametrize("bot", ["Json", "Json-fenced", "Json-broken", "Json-wrong"])
def test_an_answer_is_parsed_into_a_model(client: OpenAI, bot: str) -> None:
    answer = client.chat.completions.parse(
        model=bot, messages=[user(f"Solve it, {bot}.")], response_format=Solution
    )

    assert isinstance(answer.choices[0].message.parsed, Solution)


def test_a_streamed_answer_is_parsed_into_a_model(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="Json", messages=[user("Solve it.")], response_format=Solution
    ) as stream:
        parsed = stream.get_final_completion().choices[0].message.parsed

    assert isinstance(parsed, Solution)


async def test_an_answer_is_parsed_when_awaited(aclient: AsyncOpenAI) -> None:
    answer = await aclient.chat.completions.parse(
        model="Json", messages=[user("Solve it.")], response_format=Solution
    )

    assert isinstance(answer.choices[0].message.parsed, Solution)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_of_another_form_is_a_refusal(client: OpenAI, stream: bool) -> None:
    asked: Any = {"messages": [user("Solve it.")], "response_format": Solution}
    if stream:
        with client.chat.completions.stream(model="Json-never", **asked) as told:
            message = told.get_final_completion().choices[0].message
    else:
        message = client.chat.completions.parse(model="Json-never", **asked).choices[0].message

    assert message.parsed is None
    assert message.refusal


def test_an_answer_that_was_cut_is_not_parsed(client: OpenAI) -> None:
    with pytest.raises(LengthFinishReasonError):
        client.chat.completions.parse(
            model="Json", messages=[user("Solve it.")], response_format=Solution, max_tokens=1
        )


# What else the API has.


def test_models_are_listed_and_shown(client: OpenAI) -> None:
    listed = {model.id for model in client.models.list()}

    assert "echo" in listed
    assert client.models.retrieve("Echo").id == "echo"
    with pytest.raises(NotFoundError):
        client.models.retrieve("nobody/knows-this")


def test_legacy_completions_are_answered(service: Service, client: OpenAI) -> None:
    whole = client.completions.create(model="Echo", prompt="Once upon")
    # The client's model of a chunk has no null for `finish_reason`, which OpenAI's chunks have.
    with OpenAI(base_url=service.base_url, api_key=service.key) as lenient:
        parts = list(lenient.completions.create(model="Echo", prompt="Once upon", stream=True))

    assert whole.choices[0].text == "Once upon"
    assert "".join(part.choices[0].text for part in parts) == "Once upon"
    assert parts[-1].choices[0].finish_reason == "stop"


# Errors.


def test_each_error_is_of_its_class_and_names_what_is_wrong(
    service: Service, client: OpenAI
) -> None:
    client = client.with_options(max_retries=0)
    hello = [user("hello")]
    ask = client.chat.completions.create

    with pytest.raises(AuthenticationError) as caught:
        client.with_options(api_key="sk-wrong").chat.completions.create(
            model="Echo", messages=hello
        )
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(BadRequestError) as unsupported:
        ask(model="Echo", messages=hello, logprobs=True)
    assert (unsupported.value.param, unsupported.value.code) == ("logprobs", "unsupported_value")
    with pytest.raises(NotFoundError) as unknown:
        ask(model="No-Such-Bot", messages=hello)
    assert (unknown.value.param, unknown.value.code) == ("model", "model_not_found")
    with pytest.raises(BadRequestError) as long:
        ask(model="Fail-413", messages=hello)
    assert long.value.code == "context_length_exceeded"
    assert "maximum context length" in long.value.message
    with pytest.raises(PermissionDeniedError) as forbidden:
        ask(model="Fail-403", messages=hello)
    assert forbidden.value.code == "model_not_allowed"
    with pytest.raises(InternalServerError) as failed:
        ask(model="Fail-502", messages=hello)
    assert failed.value.status_code == 502

    named: Any = {"extra_headers": {"Idempotency-Key": "one-key-for-two"}}
    ask(model="Echo", messages=hello, **named)
    with pytest.raises(UnprocessableEntityError) as reused:
        ask(model="Echo", messages=[user("bye")], **named)
    assert reused.value.code == "idempotency_key_reused"


def test_no_points_is_a_402_that_is_not_retried() -> None:
    with (
        running_service(tokens="sim-broke") as broke,
        OpenAI(base_url=broke.base_url, api_key=broke.key, max_retries=5) as client,
    ):
        with pytest.raises(APIStatusError) as caught:
            client.chat.completions.create(model="Echo", messages=[user("hello")])
        assert len(broke.calls("Echo")) <= 1

    assert caught.value.status_code == 402
    assert caught.value.code == "insufficient_quota"


@pytest.mark.parametrize("bot", ["Fail-late", "Cut-3"])
def test_what_may_have_been_charged_is_asked_for_once(
    service: Service, client: OpenAI, bot: str
) -> None:
    before = len(service.calls(bot))
    with pytest.raises(InternalServerError) as caught:
        client.with_options(max_retries=5).chat.completions.create(
            model=bot, messages=[user("hello")]
        )

    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(service.calls(bot)) == before + 1


def test_a_client_that_is_told_to_wait_comes_back_and_is_answered(
    service: Service, client: OpenAI
) -> None:
    own = client.with_options(api_key=ONE_AT_A_TIME)
    first = own.chat.completions.create(
        model="Count", messages=[user("count to 1000 every 50ms")], stream=True
    )
    next(iter(first))

    with pytest.raises(RateLimitError) as caught:
        own.with_options(max_retries=0).chat.completions.create(
            model="Echo", messages=[user("too early")]
        )
    assert caught.value.response.headers["retry-after"] == "1"

    first.close()
    # Its place is free once Poe has been left, which a busy machine takes its time for.
    answer = own.with_options(max_retries=30).chat.completions.create(
        model="Echo", messages=[user("patient")]
    )
    assert answer.choices[0].message.content == "patient"


def test_a_late_failure_is_raised_behind_the_text(service: Service, client: OpenAI) -> None:
    steps = [
        {"event": "text", "data": {"text": "It begins well, "}},
        {"sleep": 0.5},
        {"event": "error", "data": {"text": "Internal server error"}},
    ]
    before = len(service.calls("Script"))
    stream = client.chat.completions.create(
        model="Script", messages=[user(json.dumps(steps))], stream=True
    )
    told: list[str] = []
    with pytest.raises(APIError) as caught:
        told.extend(chunk.choices[0].delta.content or "" for chunk in stream)

    assert "".join(told) == "It begins well, "
    assert caught.value.code == "upstream_failed"
    assert len(service.calls("Script")) == before + 1


# Leaving.


def test_a_stream_that_is_closed_ends_the_call_upstream(service: Service, client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model="Long", messages=[user("9000 words, every 20ms")], stream=True
    )
    next(iter(stream))
    stream.close()

    until(lambda: service.calls("Long")[-1].outcome == "client_left", "the end of the call")


async def test_a_task_that_is_cancelled_ends_the_call_upstream(
    service: Service, aclient: AsyncOpenAI
) -> None:
    asking = asyncio.create_task(
        aclient.chat.completions.create(model="Silent", messages=[user("wait 60")])
    )
    await asyncio.to_thread(until, lambda: service.calls("Silent"), "the call")
    asking.cancel()

    await asyncio.to_thread(
        until, lambda: service.calls("Silent")[-1].outcome == "client_left", "its end"
    )


def test_a_timeout_of_the_clients_own_ends_the_call_upstream(
    service: Service, client: OpenAI
) -> None:
    with pytest.raises(APITimeoutError):
        client.with_options(timeout=1.0, max_retries=0).chat.completions.create(
            model="Silent-open", messages=[user("wait 60")]
        )

    until(lambda: service.calls("Silent-open")[-1].outcome == "client_left", "the end of the call")
