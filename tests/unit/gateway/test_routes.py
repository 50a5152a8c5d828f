"""Which path means what. Granian gives it decoded, so an encoded slash is a slash here."""

from __future__ import annotations

import json

import pytest

from gateway.app import DIALECTS
from gateway.openai import errors
from gateway.problems import unknown_path
from gateway.routes import Routes, route_of


@pytest.mark.parametrize(
    ("path", "route"),
    [
        pytest.param("/v1/chat/completions", "/chat/completions", id="as documented"),
        pytest.param("/chat/completions", "/chat/completions", id="without v1"),
        pytest.param("/v1//chat/completions", "/chat/completions", id="base URL with a slash"),
        pytest.param("//v1/chat//completions", "/chat/completions", id="slashes everywhere"),
        pytest.param("/v1/chat/completions/", "/chat/completions", id="slash at the end"),
        pytest.param("/v1/models", "/models", id="models"),
        pytest.param("/v1", "/", id="v1 alone"),
        pytest.param("/v1/", "/", id="v1 and a slash"),
        pytest.param("//v1//", "/", id="v1 and slashes"),
        pytest.param("/v1/completions", "/completions", id="legacy"),
        pytest.param("//v1/images//generations/", "/images/generations", id="images"),
        pytest.param("/", "/", id="root"),
        pytest.param("", "/", id="nothing"),
        pytest.param("*", "/*", id="the server itself"),
        pytest.param("/v1/v1/models", "/v1/models", id="v1 twice leads nowhere"),
        pytest.param("/v1x/models", "/v1x/models", id="v1x is not v1"),
        pytest.param("/v1beta", "/v1beta", id="v1beta is not v1"),
        pytest.param("/V1/models", "/V1/models", id="a path has case"),
        pytest.param("/v1/../metrics", "/../metrics", id="dots mean nothing"),
    ],
)
def test_a_path_leads_to_a_route(path: str, route: str) -> None:
    assert route_of(path) == route


@pytest.mark.parametrize(
    ("path", "model"),
    [
        pytest.param("/v1/models/Claude-Opus-4", "Claude-Opus-4", id="plain"),
        pytest.param("/models/openai/gpt-4o", "openai/gpt-4o", id="with a slash"),
        pytest.param("/v1/models/a/b/c/", "a/b/c", id="with a slash at the end"),
        pytest.param("/v1/models/100%25", "100%25", id="decoded once only"),
        pytest.param("/v1/models/GPT 4o é", "GPT 4o é", id="with spaces and letters"),
        pytest.param("/v1/models", None, id="the list"),
        pytest.param("/v1/models/", None, id="the list with a slash"),
        pytest.param("/v1/modelsx/y", None, id="something else"),
        pytest.param("/v1/v1/models/y", None, id="v1 twice"),
    ],
)
def test_a_models_path_names_the_model(path: str, model: str | None) -> None:
    routes: Routes[str] = Routes(DIALECTS)
    routes.add("GET", "/models", "list")
    routes.add("GET", "/models/", "one")

    route, rest = routes.find(route_of(path), lambda _: "")

    assert (rest or None) == model
    assert model is None or (route is not None and route.handlers == {"GET": "one"})


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        pytest.param("/chat", "/chat. The base URL ends in /v1.", id="without v1"),
        pytest.param("/v1/chat", "/chat.", id="with v1"),
        pytest.param(
            "/v1/v1/chat/completions",
            "The base URL has /v1 twice: your client adds it, or you did.",
            id="v1 twice",
        ),
        pytest.param(
            "/v1/embeddings",
            "Poe has no embeddings, so this server has none either.",
            id="embeddings",
        ),
        pytest.param(
            "/v1/images/edits",
            "only /v1/images/generations is offered here.",
            id="another of images",
        ),
        pytest.param("/v1/audio/speech", "at /v1/chat/completions.", id="audio"),
        pytest.param("/v1/files", "as parts of type `file`.", id="files"),
        pytest.param("/v1/moderations", "so this server does not either.", id="moderations"),
        pytest.param("/v1/dashboard/billing/usage", "There is no billing here.", id="billing"),
        pytest.param("/dashboard/billing/subscription", "no billing here.", id="billing at root"),
    ],
)
def test_an_unknown_path_is_answered_with_what_is_wrong_about_it(path: str, advice: str) -> None:
    assert json.loads(errors.body(unknown_path("POST", path)))["error"]["message"].endswith(advice)
