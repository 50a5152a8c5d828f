"""OpenAI's dialect at the door, spoken by OpenAI's own client: what goes in, what comes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import Any

import httpx
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, BadRequestError, InternalServerError

from contract.messages import (
    Catalogue,
    File,
    Finished,
    Format,
    MediaPart,
    Model,
    Text,
    TextPart,
    Tool,
)
from tests.support.deployment import KEY, eventually
from tests.support.gateway_alone import Rig, rig
from tests.support.openai_schema import (
    COMPLETION,
    ERROR,
    IMAGES_RESPONSE,
    LIST_MODELS,
    MODEL,
    assert_is,
)
from tests.support.scripted_worker import Answering, words

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG = f"""
allowAnyBot = true

[bot]
fast = "Claude-Haiku-3"

[[accessTokens]]
key = "{KEY}"

[[accessTokens]]
key = "sk-bound"
models = ["FAST", "Banana"]
"""

CATALOGUE = Catalogue(
    1.0,
    (
        Model("claude-haiku-3", 1_700_000_000, "Anthropic", "Claude-Haiku-3", features=("tools",)),
        Model("nano-banana", 1_700_000_000, "Google", "Banana", output_modalities=("image",)),
    ),
)
CAT = File("https://p.example/cat.png", "cat.png", "image/png")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("dialect"), CONFIG, key=None) as running:
        await running.worker.publish_catalogue(CATALOGUE)

        async def known() -> bool:
            async with running.gateway.http() as http:
                return b"nano-banana" in (await http.get("/v1/models")).content

        await eventually(known, "the catalogue")
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def client(shared: Rig) -> AsyncIterator[AsyncOpenAI]:
    url = f"http://127.0.0.1:{shared.gateway.port}/v1"
    async with AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) as openai:
        yield openai


async def draw(answering: Answering) -> None:
    await answering.begin()
    await answering.say(CAT, Finished())


async def decline(answering: Answering) -> None:
    await answering.begin()
    await answering.say(Text("I only write."), Finished())


OF_ZEROS = sha256(bytes(3)).hexdigest()


async def test_everything_that_a_client_asks_reaches_the_worker(
    shared: Rig, client: AsyncOpenAI
) -> None:
    answering = asyncio.create_task(shared.worker.take(words))
    schema: dict[str, object] = {"type": "object", "properties": {"a": {"type": "string"}}}
    content: Any = [
        {"type": "text", "text": "Look:"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.txt", "file_data": "AAAA"}},
    ]

    await client.chat.completions.create(
        model="fast",
        messages=[{"role": "user", "content": content}],
        tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        parallel_tool_calls=False,
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        reasoning_effort="high",
        max_completion_tokens=100,
        top_p=0.5,
        user="u",
        extra_body={"thinking_budget": 2_000, "web_search": True},
    )

    job = (await answering).job
    assert job.model == "Claude-Haiku-3"
    assert job.messages[0].content == (
        TextPart("Look:"),
        MediaPart("image", "", "image/png", detail="low", digest=OF_ZEROS, size=3),
        MediaPart("file", "", "text/plain", "a.txt", digest=OF_ZEROS, size=3),
    )
    options = job.options
    assert options.tools == (Tool("f", "", schema),)
    assert (options.tool_choice, options.tool_name) == ("required", "f")
    assert options.parallel_tool_calls is False
    assert options.format == Format("n", schema)
    assert (options.reasoning_effort, options.max_tokens, options.top_p) == ("high", 100, 0.5)
    assert options.extra == {"thinking_budget": 2_000, "web_search": True}


async def test_a_legacy_completion_is_answered(shared: Rig, client: AsyncOpenAI) -> None:
    answering = asyncio.create_task(shared.worker.take(words))

    answer = await client.completions.create(model="fast", prompt="Once ", echo=True)

    said = (await answering).job
    assert [message.text for message in said.messages] == ["Once "]
    assert said.options.max_tokens is None
    assert_is(answer.model_dump(exclude_unset=True), COMPLETION)
    assert answer.choices[0].text.startswith("Once ")
    assert len(answer.choices[0].text) > len("Once ")


async def test_a_legacy_completion_is_streamed(shared: Rig, client: AsyncOpenAI) -> None:
    whole_answering = asyncio.create_task(shared.worker.take(words))
    whole = await client.completions.create(model="fast", prompt="Once")
    await whole_answering
    answering = asyncio.create_task(shared.worker.take(words))

    stream = await client.completions.create(
        model="fast", prompt="Once", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]

    await answering
    text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
    assert text == whole.choices[0].text
    assert chunks[-1].usage is not None
    assert chunks[-1].usage == whole.usage


async def test_an_image_is_generated(shared: Rig, client: AsyncOpenAI) -> None:
    answering = asyncio.create_task(shared.worker.take(draw))

    answer = await client.images.generate(
        model="Banana", prompt="A cat", size="1024x1536", quality="high"
    )

    job = (await answering).job
    assert job.model == "nano-banana"
    assert job.options.extra == {"size": "1024x1536", "quality": "high"}
    assert_is(answer.model_dump(exclude_unset=True), IMAGES_RESPONSE)
    assert [image.url for image in answer.data or ()] == [CAT.url]


async def test_a_bot_that_draws_nothing_is_an_error_in_its_words(
    shared: Rig, client: AsyncOpenAI
) -> None:
    answering = asyncio.create_task(shared.worker.take(decline))

    with pytest.raises(InternalServerError, match="I only write") as caught:
        await client.images.generate(model="fast", prompt="A cat")

    await answering
    assert caught.value.status_code == 502
    assert_is(caught.value.response.json(), ERROR)
    assert caught.value.response.headers["x-should-retry"] == "false"


async def test_what_cannot_be_is_a_400_that_names_it(client: AsyncOpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        await client.images.generate(model="Banana", prompt="A cat", response_format="b64_json")
    assert caught.value.param == "response_format"

    with pytest.raises(BadRequestError) as caught:
        await client.completions.create(model="fast", prompt=[15, 16])
    assert caught.value.param == "prompt"

    with pytest.raises(BadRequestError) as caught:
        await client.chat.completions.create(
            model="fast",
            messages=[{"role": "user", "content": "Hi"}],
            tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": 5}}}],
        )
    assert caught.value.param == "tools[0].function.parameters"


async def test_a_bound_key_sees_its_models_only(shared: Rig) -> None:
    async with shared.gateway.http(key="sk-bound") as http:
        listing = (await http.get("/v1/models")).json()
        shown = await http.get("/v1/models/nano-banana")
        hidden = await http.get("/v1/models/claude-haiku-3")

    assert_is(listing, LIST_MODELS)
    assert [model["id"] for model in listing["data"]] == ["fast", "nano-banana"]
    assert_is(shown.json(), MODEL)
    assert hidden.status_code == 404
    assert_is(hidden.json(), ERROR)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "//v1//", "/v1/models/", "//models"])
async def test_probes_are_answered_without_a_redirect(shared: Rig, method: str, path: str) -> None:
    url = f"http://127.0.0.1:{shared.gateway.port}{path}"

    async with shared.gateway.http() as http:
        answer = await http.request(method, httpx.URL(url))

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert bool(answer.content) == (method == "GET")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/v1/chat/completions"),
        ("POST", "/v1/embeddings"),
        ("GET", "/v1/responses/resp_1"),
        ("POST", "/v1/audio/speech"),
        ("POST", "/v1/images/edits"),
        ("GET", "/v1/dashboard/billing/usage"),
        ("GET", "/dashboard/billing/subscription"),
    ],
)
async def test_what_is_not_here_is_a_404_that_says_so(shared: Rig, method: str, path: str) -> None:
    async with shared.gateway.http() as http:
        answer = await http.request(method, path)

    assert answer.status_code == 404
    assert_is(answer.json(), ERROR)
    # There is advice beyond the mere fact.
    assert answer.json()["error"]["message"].count(". ") >= 1
