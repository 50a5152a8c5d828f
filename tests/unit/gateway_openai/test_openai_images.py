"""Image generations: what is asked, and where the images are found in an answer."""

import json
from typing import Any

import pytest
from openai.types import ImagesResponse

from contract.messages import Event, File, Finished, Message, Options, Refusal, Text
from gateway.dialect import Ask
from gateway.openai.images import ImagesCollector, parse_images
from gateway.problems import Problem
from gateway.render.openai_errors import headers as error_headers
from tests.support.openai_answers import code_of, head, status_of
from tests.support.openai_schema import IMAGES_RESPONSE, assert_is

CAT = File("https://p.example/cat.png", "cat.png", "image/png", "ref1")
DOG = File("https://p.example/dog", "dog", "")
PDF = File("https://p.example/a.pdf", "a.pdf", "application/pdf")


def asking(**fields: Any) -> bytes:
    return json.dumps({"model": "nano-banana", "prompt": "A cat"} | fields).encode()


def urls(*choices: list[Event]) -> list[str]:
    collector = ImagesCollector(head(choices=len(choices)), Ask("m", ()))
    for choice, events in enumerate(choices):
        collector.feed(choice, [*events, Finished()])
    answer = json.loads(collector.body())
    assert_is(answer, IMAGES_RESPONSE)
    ImagesResponse.model_validate(answer, strict=True)
    return [image["url"] for image in answer["data"]]


def test_a_prompt_is_a_message_to_a_bot() -> None:
    assert parse_images(asking()) == Ask("nano-banana", (Message("user", "A cat"),))


def test_what_an_image_shall_be_like_is_for_the_bot() -> None:
    asked = parse_images(
        asking(n=2, size="1024x1536", quality="high", background="auto", aspect="2:3", style=None)
    )

    assert asked.choices == 2
    assert asked.options == Options(extra={"size": "1024x1536", "quality": "high", "aspect": "2:3"})


@pytest.mark.parametrize(
    "fields",
    [
        {"n": None, "size": None, "quality": "auto", "response_format": "url", "stream": False},
        {"output_format": "png", "output_compression": 90, "moderation": "low"},
        {"user": "u", "partial_images": 0},
    ],
)
def test_what_cannot_be_honoured_is_ignored(fields: dict[str, Any]) -> None:
    assert parse_images(asking(**fields)) == parse_images(asking())


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": ["a"]}, "prompt"),
        ({"n": 9}, "n"),
        ({"size": 1024}, "size"),
        ({"response_format": "b64_json"}, "response_format"),
        ({"stream": True}, "stream"),
    ],
)
def test_a_mistake_is_a_400_that_names_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Problem) as caught:
        parse_images(asking(**fields))

    assert (status_of(caught.value), caught.value.param) == (400, param)


@pytest.mark.parametrize(
    ("events", "found"),
    [
        pytest.param([CAT], [CAT.url], id="a file"),
        pytest.param([Text("Here:"), CAT, DOG, PDF, CAT], [CAT.url, DOG.url], id="files"),
        pytest.param([Text("![it][ref1]"), CAT], [CAT.url], id="a file that the text shows"),
        pytest.param(
            [Text("Here: ![a](https://p.example/a.png) ![b](https://p.example/b.png 'B')")],
            ["https://p.example/a.png", "https://p.example/b.png"],
            id="Markdown",
        ),
        pytest.param([Text("\nhttps://p.example/a \n")], ["https://p.example/a"], id="a URL"),
        pytest.param(
            [Text("https://p.example/a\nhttps://p.example/b")],
            ["https://p.example/a", "https://p.example/b"],
            id="URLs",
        ),
    ],
)
def test_an_image_is_found_wherever_a_bot_puts_it(events: list[Event], found: list[str]) -> None:
    assert urls(events) == found


def test_the_images_of_all_choices_are_told_once_each() -> None:
    assert urls([CAT], [Text("none here")], [DOG], [CAT]) == [CAT.url, DOG.url]


@pytest.mark.parametrize(
    ("events", "words"),
    [
        pytest.param(
            [Text("I only write. See https://x.")], "I only write. See https://x.", id="text"
        ),
        pytest.param([Refusal("I will not.")], "I will not.", id="a refusal"),
        pytest.param([PDF], PDF.url, id="another file"),
        pytest.param([], "The bot made no image.", id="nothing"),
        pytest.param([Text("x" * 10_000)], "x" * 1_000, id="a novel"),
    ],
)
def test_an_answer_without_an_image_is_an_error_in_the_bots_words(
    events: list[Event], words: str
) -> None:
    with pytest.raises(Problem) as caught:
        urls(events)

    error = caught.value
    assert (status_of(error), code_of(error)) == (502, "upstream_failed")
    assert words in error.message
    assert len(error.message) < 1_100
    assert ("x-should-retry", "false") in error_headers(error)
