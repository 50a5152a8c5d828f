"""Who asks, and with which key."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest

from contract.stored_keys import StoredKey
from gateway.auth import admitted, digest_of, holder, key_of, listed
from gateway.config import AccessToken, access_token
from gateway.problems import Problem
from tests.support.openai_answers import code_of, status_of

NOW = 1_000.0
ANNE = access_token("sk-anne", "Anne")
BERT = msgspec.structs.replace(access_token("sk-bert", "Bert"), expires=NOW)
CARL = msgspec.structs.replace(access_token("sk-carl", "Carl"), expires=NOW + 0.1)
TOKENS = (ANNE, BERT, CARL)


def authenticate(key: str) -> AccessToken:
    return admitted(listed(digest_of(key), TOKENS), NOW)


@pytest.mark.parametrize(
    ("key", "who"),
    [
        pytest.param("sk-anne", ANNE, id="without an end"),
        pytest.param("sk-carl", CARL, id="not yet expired"),
    ],
)
def test_a_key_tells_whose_it_is(key: str, who: AccessToken) -> None:
    assert authenticate(key) is who


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="none"),
        pytest.param("sk-ann", id="the beginning of one"),
        pytest.param("sk-annex", id="more than one"),
        pytest.param("SK-ANNE", id="another case"),
        pytest.param(" sk-anne", id="with a space"),
        pytest.param("sk-bert", id="expired"),
        pytest.param("clé-ключ-🔑", id="not ASCII"),
        pytest.param("\udcff", id="not UTF-8"),
        pytest.param(ANNE.digest.hex(), id="the digest"),
        pytest.param(ANNE.client, id="the fingerprint"),
    ],
)
def test_any_other_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(Problem) as refused:
        authenticate(key)

    assert (status_of(refused.value), code_of(refused.value)) == (401, "invalid_api_key")
    assert not key.strip() or key not in refused.value.message


def stored(**terms: Any) -> StoredKey:
    made = datetime.datetime(2027, 1, 1, tzinfo=datetime.UTC)
    return StoredKey(**{"id": "a" * 16, "name": "Dora", "created": made, **terms})


def test_the_holder_of_a_stored_key_is_a_client_like_any_other() -> None:
    ends = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
    key = stored(
        group="lab", weight=2.0, max_concurrent=3, rate_limit=4, models=("gpt-*",), expires=ends
    )

    client = holder(b"digest", key)

    assert client == AccessToken(
        digest=b"digest",
        client="a" * 16,
        name="Dora",
        group="lab",
        weight=2.0,
        max_concurrent=3,
        rate_limit=4,
        models=("gpt-*",),
        expires=NOW,
    )
    assert admitted(client, NOW - 0.1) is client
    with pytest.raises(Problem):
        admitted(client, NOW)


def test_a_disabled_key_is_nobodys() -> None:
    assert holder(b"digest", stored(disabled=True)) is None


@pytest.mark.parametrize(
    ("authorization", "others", "key"),
    [
        pytest.param("Bearer sk-1", [], "sk-1", id="as OpenAI's clients do"),
        pytest.param("bearer sk-1", [], "sk-1", id="in lower case"),
        pytest.param("BEARER   sk-1  ", [], "sk-1", id="in capitals, with spaces"),
        pytest.param("", ["sk-2", ""], "sk-2", id="x-api-key"),
        pytest.param("", ["", "sk-3"], "sk-3", id="api-key"),
        pytest.param("Bearer sk-1", ["sk-2", "sk-3"], "sk-1", id="all: the bearer's"),
        pytest.param("Basic dXNlcg==", ["sk-2", ""], "sk-2", id="a proxy's password beside it"),
        pytest.param("Bearer", ["", "sk-3"], "sk-3", id="an empty bearer beside it"),
        pytest.param("Bearer ", ["sk-2", ""], "sk-2", id="a blank bearer beside it"),
        pytest.param("Basic dXNlcg==", ["", ""], "", id="a password only"),
        pytest.param("sk-1", ["", ""], "sk-1", id="no scheme"),
        pytest.param("sk-1", ["", "sk-3"], "sk-3", id="no scheme, and a key in its own header"),
        pytest.param("Bearer Bearer sk-1", ["", ""], "sk-1", id="the scheme twice"),
        pytest.param("Bearer\tsk-1", ["", ""], "sk-1", id="a tab"),
        pytest.param("Bearer Bearer", ["", ""], "Bearer", id="a key that is called Bearer"),
        pytest.param("", ["", ""], "", id="nothing"),
    ],
)
def test_the_key_is_found_in_any_header_that_clients_use(
    authorization: str, others: list[str], key: str
) -> None:
    assert key_of(authorization, *others) == key
