"""The list of models in Anthropic's shape, page by page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from contract.messages import Catalogue, Model
from gateway.anthropic.models import listing, one
from gateway.models import ModelTable
from gateway.problems import Problem

CATALOGUE = Catalogue(
    0.0,
    tuple(
        Model(
            f"m{number:02}", 1_754_006_400, "poe", f"M {number}", 200_000, max_output_tokens=8_192
        )
        for number in range(30)
    ),
)
TABLE = ModelTable({"claude": "m00"}, True, CATALOGUE, 1_700_000_000)


def page(query: str = "", allowed: tuple[str, ...] = ()) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(listing(TABLE, allowed, "", query))
    return body


def ids(query: str, allowed: tuple[str, ...] = ()) -> list[str]:
    return [model["id"] for model in page(query, allowed)["data"]]


def test_a_model_has_anthropics_fields() -> None:
    assert page("limit=2")["data"][1] == {
        "type": "model",
        "id": "m00",
        "display_name": "M 0",
        "created_at": "2025-08-01T00:00:00Z",
        "max_input_tokens": 200_000,
        "max_tokens": 8_192,
    }
    assert json.loads(one(TABLE, (), "m07", ""))["display_name"] == "M 7"


def test_all_models_fit_one_page_of_a_thousand() -> None:
    told = page("limit=1000")

    assert len(told["data"]) == 31
    assert (told["has_more"], told["first_id"], told["last_id"]) == (False, "claude", "m29")


def test_pages_lead_through_the_whole_list_both_ways() -> None:
    first = page()
    rest = page(f"after_id={first['last_id']}")
    back = page(f"before_id={rest['first_id']}&limit=20")

    assert (len(first["data"]), first["has_more"]) == (20, True)
    assert (len(rest["data"]), rest["has_more"]) == (11, False)
    assert back == first | {"has_more": False}
    assert page(f"before_id={rest['first_id']}&limit=5")["has_more"]
    assert ids("after_id=m29") == []


def test_a_client_sees_what_it_may_use() -> None:
    assert ids("limit=1000", ("m03", "claude")) == ["claude", "m03"]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "after_id=no", "before_id=no"]
)
def test_a_page_that_cannot_be_is_refused_by_name(query: str) -> None:
    with pytest.raises(Problem) as caught:
        page(query)

    assert caught.value.param == query.partition("=")[0]
