"""The worker's part of the settings: tokens, accounts and their limits."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.config import ConfigError, File, ModelSettings, Settings, model_settings
from gateway.config import gateway_config
from worker.config import WorkerConfig, worker_config


def settings(**values: Any) -> Settings:
    return Settings(File("config.toml", "", values))


def test_nothing_set_gives_the_defaults() -> None:
    config, warnings = worker_config(settings())

    assert config == WorkerConfig()
    assert warnings == []


def test_a_file_of_the_seed_works_unchanged() -> None:
    seed = {
        "port": 3700,
        "tokens": ["first-token", "second-token"],
        "proxy": "",
        "simulateRoles": 2,
        "rateLimit": 30,
        "coolDown": 1,
        "timeout": 60,
        "accessTokens": ["k"],
        "bot": {"gpt-4o": "GPT-4o"},
    }

    config, _ = worker_config(settings(**seed))

    assert [token.secret for token in config.tokens] == ["first-token", "second-token"]
    assert {(t.rate_limit, t.cool_down, t.max_in_flight) for t in config.tokens} == {(30, 1.0, 10)}
    assert (config.simulate_roles, config.timeout, config.proxy) == (2, 60.0, None)


def test_a_token_can_have_limits_of_its_own() -> None:
    entry = {"token": "a", "account": "team", "rateLimit": 200, "coolDown": 0, "maxInFlight": 20}

    config, _ = worker_config(settings(tokens=[entry, "b"], maxInFlight=4))

    own, general = config.tokens
    assert (own.rate_limit, own.cool_down, own.max_in_flight) == (200, 0.0, 20)
    assert (general.rate_limit, general.cool_down, general.max_in_flight) == (60, 3.0, 4)
    assert own.label == f"team-{own.id[:6]}"
    assert general.label == f"token-{general.id[:6]}"
    assert general.account == general.id


def test_a_token_listed_twice_counts_once_and_is_said() -> None:
    config, warnings = worker_config(settings(tokens=["same", "other", "same"]))

    assert [token.secret for token in config.tokens] == ["same", "other"]
    assert len(warnings) == 1
    assert "counts once" in warnings[0]


def test_many_that_are_listed_twice_are_a_few_warnings() -> None:
    _, warnings = worker_config(settings(tokens=["same"] * 1000))

    assert len(warnings) == 6
    assert warnings[-1] == "994 more warnings like the last one are not shown"


def test_tokens_of_one_account_share_the_strictest_limits_and_it_is_said() -> None:
    entries = [
        {"token": "a", "account": "team", "rateLimit": 100, "coolDown": 5},
        {"token": "b", "account": "team", "rateLimit": 50, "coolDown": 1},
    ]

    config, warnings = worker_config(settings(tokens=entries))

    assert {token.account for token in config.tokens} == {config.tokens[0].account}
    assert {(t.rate_limit, t.cool_down) for t in config.tokens} == {(50, 5.0)}
    assert len(warnings) == 2
    assert "rateLimit 50, coolDown 5" in warnings[0]


ACCOUNTS = {"a": "one", "b": "one", "c": "two", "d": "two"}

entries = st.lists(
    st.fixed_dictionaries(
        {
            "token": st.sampled_from(sorted(ACCOUNTS)),
            "rateLimit": st.integers(1, 100),
            "coolDown": st.integers(0, 10),
            "maxInFlight": st.integers(1, 10),
        }
    ).map(lambda entry: {**entry, "account": ACCOUNTS[entry["token"]]}),
    max_size=8,
)


@given(entries)
def test_every_token_of_an_account_has_the_strictest_limits_of_its_entries(
    entries: list[dict[str, Any]],
) -> None:
    config, _ = worker_config(settings(tokens=entries))

    assert {token.secret for token in config.tokens} == {entry["token"] for entry in entries}
    for token in config.tokens:
        mine = [entry for entry in entries if entry["account"] == ACCOUNTS[token.secret]]
        assert token.rate_limit == min(entry["rateLimit"] for entry in mine)
        assert token.cool_down == max(entry["coolDown"] for entry in mine)
        assert token.max_in_flight == min(entry["maxInFlight"] for entry in mine)


def test_a_token_that_is_listed_with_and_without_an_account_belongs_to_it() -> None:
    entries = ["a", {"token": "a", "account": "team"}, {"token": "b", "account": "team"}]

    config, _ = worker_config(settings(tokens=entries))

    first, second = config.tokens
    assert first.account == second.account != first.id


def test_a_token_cannot_belong_to_two_accounts() -> None:
    entries = [{"token": "a", "account": "one"}, {"token": "a", "account": "two"}]

    with pytest.raises(ConfigError, match="another account"):
        worker_config(settings(tokens=entries))


def test_no_repr_shows_a_secret() -> None:
    config, _ = worker_config(
        settings(
            tokens=["the-token"], redisUrl="redis://:the-token@h", proxy="http://u:the-token@p"
        )
    )

    assert "the-token" not in repr(config) + repr(config.tokens) + f"{config}"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"simulateRoles": 3}, "`simulateRoles` = 3", id="roles"),
        pytest.param({"rateLimit": 0}, "`rateLimit` = 0", id="rate"),
        pytest.param({"coolDown": -1}, "`coolDown` = -1", id="cool down"),
        pytest.param({"timeout": 0}, "`timeout` = 0", id="timeout"),
        pytest.param({"proxy": "socks5://h"}, "`proxy`: expected http://", id="proxy"),
        pytest.param({"poeUrl": "api.poe.com"}, "`poeUrl`: expected https://", id="Poe"),
        pytest.param({"uploadUrl": "quora.com"}, "`uploadUrl`: expected https://", id="uploads"),
        pytest.param({"budgetWebhook": "hooks.x/s"}, "`budgetWebhook`: expected", id="webhook"),
        pytest.param({"tokens": [""]}, "`tokens[0]`: is empty", id="empty token"),
    ],
)
def test_nonsense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        worker_config(settings(**values))

    assert message in str(caught.value)


def test_it_passes_through_a_descriptor() -> None:
    config, _ = worker_config(settings(tokens=["a", {"token": "b", "account": "x"}]))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(config), type=WorkerConfig) == config


# Models, whose settings both sides read.


def test_a_model_has_settings_by_its_name_in_any_case() -> None:
    table = {"Claude-Haiku-4.5": {"protocol": "bot", "reasoning": "inline", "toolEmulation": True}}
    expected = ModelSettings(protocol="bot", reasoning="inline", tool_emulation=True)

    worker, _ = worker_config(settings(models=table))
    gateway, _ = gateway_config(settings(models=table))

    assert model_settings(worker.models, "claude-HAIKU-4.5") == expected
    assert model_settings(worker.models, "claude-haiku-4-5", "Claude-Haiku-4.5") == expected
    assert model_settings(worker.models, "Claude-Haiku-4") == ModelSettings()
    assert gateway.models == worker.models


@pytest.mark.parametrize("read", [worker_config, gateway_config])
@pytest.mark.parametrize(
    ("table", "says"),
    [
        (
            '[models."GPT-5.4"]\nprotocoll = "bot"',
            'config.toml:2: unknown key `models."GPT-5.4".protocoll`; did you mean `protocol`?',
        ),
        (
            '[models]\n"o3" = { protocol = "http" }',
            "config.toml:2: `models.o3.protocol` = 'http': expected "
            "auto, bot, messages, responses or openai",
        ),
        (
            "[models.o3]\ntoolEmulation = 1",
            "config.toml:2: `models.o3.toolEmulation` = 1: expected true or false",
        ),
        ('models = "o3"', "config.toml:1: `models`: expected a table"),
        ("[models]\no3 = 3", "config.toml:2: `models.o3` = 3: expected a table"),
        (
            "[models.o3]\n[models.O3]",
            "config.toml:2: `models.O3`: is there twice, in another case",
        ),
    ],
)
def test_a_mistake_in_a_models_settings_is_told_with_its_place(
    read: Any, table: str, says: str
) -> None:
    with pytest.raises(ConfigError) as error:
        read(Settings(File("config.toml", table, tomllib.loads(table))))

    assert str(error.value) == says


@pytest.mark.parametrize(
    "end",
    [
        *("", "/", "//", "/v1", "/v1/", "/v1/v1", "/V1", "/v1/chat/completions", "/bot/GPT-4o"),
        *("/v1/models", "/v1/responses", "/v1/messages", "/bot", "/chat/completions/"),
    ],
)
@pytest.mark.parametrize("base", ["https://api.poe.com", "http://[::1]:8080", "https://h/a/proxy"])
def test_what_a_worker_adds_to_poes_url_may_stand_in_it_already(base: str, end: str) -> None:
    settings = Settings(File("f", "", {"poeUrl": base + end}))

    assert worker_config(settings)[0].poe_url == base


def test_a_webhook_may_be_a_file_and_have_a_query(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("https://hooks.example/a/b?sig=c\n")

    config, _ = worker_config(settings(budgetWebhook=f"file:{tmp_path}/hook"))

    assert config.budget_webhook == "https://hooks.example/a/b?sig=c"


@pytest.mark.parametrize(
    "url",
    [
        *("https://", "https:///v1", "https://h:0", "https://h:99999", "https://h:x"),
        *("https://[::1", "https://h?x=1", "https://h/#v1", "https://u:p@", "socks5://h:1"),
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    for key in ("poeUrl", "uploadUrl", "proxy"):
        with pytest.raises(ConfigError, match=f"`{key}`: "):
            worker_config(Settings(File("f", "", {key: url})))
