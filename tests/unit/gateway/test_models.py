import json

import pytest
from openai.types import Model as OpenAIModel

from contract.messages import Catalogue, Model
from gateway.models import ModelTable
from gateway.openai.models import listing, one
from gateway.problems import Problem
from tests.support.openai_answers import code_of, status_of
from tests.support.openai_schema import LIST_MODELS, assert_is

START = 1_700_000_000
MUSE = Model(
    "muse-spark-1-1",
    1_780_000_000,
    "Meta",
    "Muse-Spark-1.1",
    128_000,
    ("text", "image"),
    max_output_tokens=32_000,
    features=("tools",),
)
FLUX = Model("fal/flux", 0, "fal", output_modalities=("image",))
CATALOGUE = Catalogue(0.0, (MUSE, FLUX))
ALIASES = {"gpt-4o": "Muse-Spark-1.1", "Fast": "some-community-bot"}


def table(allow_any: bool = True, catalogue: Catalogue | None = CATALOGUE) -> ModelTable:
    return ModelTable(ALIASES, allow_any, catalogue, START)


@pytest.mark.parametrize(
    ("name", "upstream"),
    [
        pytest.param("GPT-4o", "Muse-Spark-1.1", id="alias"),
        pytest.param("fast", "some-community-bot", id="alias to a bot in no catalogue"),
        pytest.param("MUSE-spark-1-1", "muse-spark-1-1", id="catalogue id"),
        pytest.param("muse-SPARK-1.1", "muse-spark-1-1", id="display name"),
        pytest.param("Fal/Flux", "fal/flux", id="slash"),
        pytest.param("My-Own-Bot", "My-Own-Bot", id="in no catalogue"),
    ],
)
def test_a_name_leads_to_what_the_upstream_calls_it(name: str, upstream: str) -> None:
    assert table().resolve(name) == upstream


def test_without_a_catalogue_a_name_is_passed_on() -> None:
    assert table(catalogue=None).resolve("Muse-Spark-1.1") == "Muse-Spark-1.1"


def test_an_alias_comes_before_the_catalogue() -> None:
    shadowing = ModelTable({"fal/FLUX": "other"}, True, CATALOGUE, START)

    assert shadowing.resolve("fal/flux") == "other"
    assert ids(listing(shadowing, ())) == ["fal/FLUX", "muse-spark-1-1"]


def test_only_aliases_if_only_those_are_allowed() -> None:
    closed = table(allow_any=False)

    assert closed.resolve("FAST") == "some-community-bot"
    with pytest.raises(Problem) as caught:
        closed.resolve("muse-spark-1-1")
    assert (status_of(caught.value), code_of(caught.value)) == (404, "model_not_found")
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gpt-4-o", "Did you mean 'gpt-4o'?"),
        ("fats", "Did you mean 'Fast'?"),
        ("zzz", "GET /v1/models lists those that do."),
        ("z" * 100_000, "GET /v1/models lists those that do."),
    ],
    ids=["near one", "near another", "near none", "absurd"],
)
def test_an_unknown_name_is_told_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(Problem, match=r"does not exist\.") as caught:
        table(allow_any=False).resolve(name)

    assert caught.value.message.endswith(hint)
    assert len(caught.value.message) < 400


def test_the_listing_is_written_byte_for_byte() -> None:
    assert listing(table(), ()) == (
        b'{"object":"list","data":['
        b'{"id":"gpt-4o","object":"model","created":1780000000,"owned_by":"Meta"'
        b',"display_name":"Muse-Spark-1.1","context_length":128000,"max_output_tokens":32000'
        b',"architecture":{"input_modalities":["text","image"]},"supported_features":["tools"]},'
        b'{"id":"Fast","object":"model","created":1700000000,"owned_by":"poe"},'
        b'{"id":"muse-spark-1-1","object":"model","created":1780000000,"owned_by":"Meta"'
        b',"display_name":"Muse-Spark-1.1","context_length":128000,"max_output_tokens":32000'
        b',"architecture":{"input_modalities":["text","image"]},"supported_features":["tools"]},'
        b'{"id":"fal/flux","object":"model","created":1700000000,"owned_by":"fal"'
        b',"architecture":{"output_modalities":["image"]}}]}'
    )


def test_a_closed_table_lists_aliases_only() -> None:
    listed = json.loads(listing(table(allow_any=False), ()))["data"]

    assert [entry["id"] for entry in listed] == ["gpt-4o", "Fast"]


def test_each_model_is_what_openais_client_expects() -> None:
    listed = json.loads(listing(table(), ()))["data"]

    assert_is(json.loads(listing(table(), ())), LIST_MODELS)
    for entry in listed:
        OpenAIModel.model_validate(entry, strict=True)
        assert json.loads(one(table(), (), entry["id"])) == entry


def test_one_model_is_found_by_its_display_name() -> None:
    assert json.loads(one(table(), (), "Muse-Spark-1.1"))["id"] == "muse-spark-1-1"


def ids(listing: bytes) -> list[str]:
    return [entry["id"] for entry in json.loads(listing)["data"]]


@pytest.mark.parametrize(
    ("allowed", "listed"),
    [
        pytest.param((), ["gpt-4o", "Fast", "muse-spark-1-1", "fal/flux"], id="all"),
        pytest.param(("FAST",), ["Fast"], id="an alias"),
        pytest.param(("Fal/Flux", "fast"), ["Fast", "fal/flux"], id="aliases first"),
        pytest.param(("Muse-Spark-1.1",), ["muse-spark-1-1"], id="by its display name"),
        pytest.param(("F*",), ["Fast", "fal/flux"], id="all that begin so"),
        pytest.param(("*",), ["gpt-4o", "Fast", "muse-spark-1-1", "fal/flux"], id="all, in a word"),
        pytest.param(("Muse-*.1",), ["muse-spark-1-1"], id="a part of its display name"),
        pytest.param(("g*o", "x"), ["gpt-4o", "x"], id="a part, and a name"),
        pytest.param(("My-Own-Bot", "fast"), ["Fast", "My-Own-Bot"], id="in no catalogue"),
    ],
)
def test_a_client_that_may_use_some_models_sees_those(
    allowed: tuple[str, ...], listed: list[str]
) -> None:
    models = table()

    assert ids(listing(models, allowed)) == listed
    assert listing(models, allowed) is listing(models, allowed)
    for name in listed:
        assert json.loads(one(models, allowed, name))["id"] == name
        models.resolve(name, allowed)


@pytest.mark.parametrize("name", ["gpt-4o", "fal/flux", "Another-Bot"])
def test_a_client_that_may_use_some_models_gets_no_other(name: str) -> None:
    models, allowed = table(), ("Muse-Spark-1.1",)

    assert models.resolve("muse-spark-1-1", allowed) == "muse-spark-1-1"
    for refused in (models.resolve, models.entry):
        with pytest.raises(Problem, match="not available to this API key") as caught:
            refused(name, allowed)
        assert (status_of(caught.value), code_of(caught.value)) == (404, "model_not_found")


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("claude-*", ["claude-", "Claude-Opus"], ["claude", "my-claude-", "x"]),
        ("*-mini", ["-mini", "GPT-4o-MINI"], ["mini", "gpt-mini-2"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("a*b*c", ["abc", "a.b.c", "abbc"], ["ac", "acb", "abcd"]),
        ("[a]?*", ["[a]?", "[a]?b"], ["ab", "a"]),
    ],
)
def test_a_star_in_the_name_of_a_model_stands_for_any_text(
    pattern: str, names: list[str], others: list[str]
) -> None:
    models = table(catalogue=None)

    for name in names:
        models.resolve(name, (pattern,))
    for name in others:
        with pytest.raises(Problem):
            models.resolve(name, (pattern,))


def test_a_pattern_does_not_reach_an_alias_by_the_name_of_its_bot() -> None:
    with pytest.raises(Problem):
        table().resolve("Fast", ("some-*",))


def test_what_a_client_may_use_opens_no_closed_table() -> None:
    closed = table(allow_any=False)

    assert ids(listing(closed, ("fast", "fal/flux"))) == ["Fast"]
    for refused in (closed.resolve, closed.entry):
        with pytest.raises(Problem):
            refused("fal/flux", ("fal/flux",))


@pytest.mark.parametrize("allow_any", [True, False])
def test_a_model_that_is_not_listed_is_a_404(allow_any: bool) -> None:
    with pytest.raises(Problem) as caught:
        table(allow_any).entry("My-Own-Bot")

    assert status_of(caught.value) == 404


def test_a_closed_table_hides_the_catalogue_one_by_one_too() -> None:
    with pytest.raises(Problem):
        ModelTable({MUSE.id: "x"}, False, CATALOGUE, START).entry("Muse-Spark-1.1")


@pytest.mark.parametrize(
    ("upstream", "length"),
    [("muse-spark-1-1", 128_000), ("Muse-Spark-1.1", 128_000), ("fal/flux", None), ("x", None)],
)
def test_the_context_length_is_told_if_known(upstream: str, length: int | None) -> None:
    assert table().context_length(upstream) == length


CLAUDES = Catalogue(
    0.0,
    tuple(
        Model(f"claude-{name}", 1, "Anthropic", f"Claude-{name.title()}")
        for name in ("sonnet-4.5", "sonnet-4.6", "haiku-4.5")
    ),
)


@pytest.mark.parametrize(
    ("name", "upstream"),
    [
        pytest.param("Exact", "one", id="an exact name before a pattern"),
        pytest.param("exactly", "two", id="the first pattern that matches"),
        pytest.param("ex", "three", id="another pattern"),
        pytest.param("claude-sonnet-4.6", "claude-sonnet-4.6", id="the catalogue"),
        pytest.param("claude-sonnet-4-6-20260101", "claude-sonnet-4.6", id="Anthropic's name"),
        pytest.param("Claude-Sonnet-4-5[1m]", "mine", id="Anthropic's name of an alias"),
        pytest.param("claude-haiku-4.5", "fast", id="a pattern before the catalogue"),
        pytest.param("claude-3-5-haiku-latest", "fast", id="a pattern before Anthropic's names"),
        pytest.param("Claude-Sonnet-9-1[1m]", "claude-sonnet-9.1", id="one that is to come"),
        pytest.param("Claude-Shannon-9-1", "Claude-Shannon-9-1", id="none of these"),
    ],
)
def test_names_are_looked_for_in_an_order(name: str, upstream: str) -> None:
    aliases = {
        "exa*": "two",
        "EX*": "three",
        "exact": "one",
        "claude-*haiku*": "fast",
        "claude-sonnet-4.5": "mine",
    }

    assert ModelTable(aliases, True, CLAUDES, START).resolve(name) == upstream


def test_a_closed_table_takes_patterns_and_anthropics_names_of_its_aliases() -> None:
    aliases = {"claude-sonnet-4.5": "Claude-Sonnet-4.5", "gpt-*": "GPT-5.4"}
    closed = ModelTable(aliases, False, CLAUDES, START)

    assert closed.resolve("claude-sonnet-4-5-20250929") == "Claude-Sonnet-4.5"
    assert closed.resolve("gpt-anything") == "GPT-5.4"
    with pytest.raises(Problem):
        closed.resolve("claude-haiku-4.5")


def test_patterns_are_not_listed_but_what_they_stand_for_can_be_read() -> None:
    models = ModelTable({"fast-*": "claude-haiku-4.5"}, True, CLAUDES, START)

    assert "fast-*" not in ids(listing(models, ()))
    assert json.loads(one(models, (), "fast-1"))["owned_by"] == "Anthropic"
    assert json.loads(one(models, (), "claude-haiku-4-5"))["id"] == "claude-haiku-4.5"


@pytest.mark.parametrize(
    ("name", "allowed", "is_allowed"),
    [
        pytest.param("claude-sonnet-4-6", ("claude-sonnet-4.6",), True, id="what it means"),
        pytest.param("claude-sonnet-4-6", ("claude-sonnet-4-6-20260101",), True, id="both mean it"),
        pytest.param("claude-sonnet-4-6", ("claude-sonnet-*",), True, id="a pattern of it"),
        pytest.param("claude-3-5-sonnet", ("claude-3*",), False, id="a pattern of the name only"),
        pytest.param("claude-sonnet-4-6", ("claude-haiku-4.5",), False, id="another model"),
        pytest.param("fast-1", ("fast-*",), True, id="an alias that is a pattern"),
        pytest.param("fast-1", ("claude-haiku-4.5",), False, id="the bot of an alias"),
    ],
)
def test_a_client_may_use_a_model_by_any_name_that_means_it(
    name: str, allowed: tuple[str, ...], is_allowed: bool
) -> None:
    models = ModelTable({"fast-*": "claude-haiku-4.5"}, True, CLAUDES, START)

    if is_allowed:
        models.resolve(name, allowed)
    else:
        with pytest.raises(Problem):
            models.resolve(name, allowed)
