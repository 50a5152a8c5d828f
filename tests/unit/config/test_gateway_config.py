"""The gateway's part of the settings."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from contract.config import ConfigError, File, Settings
from gateway.config import GatewayConfig, access_token, gateway_config

KEY = "6aFVmFUWZ8JdmdBkXkPzqz"


def settings(**values: Any) -> Settings:
    return Settings(File("config.toml", "", values))


def test_nothing_set_gives_the_defaults_on_this_machine_only() -> None:
    config, warnings = gateway_config(settings())

    assert config == GatewayConfig(host="127.0.0.1", port=3700)
    assert len(warnings) == 1
    assert "--host 0.0.0.0" in warnings[0]


@pytest.mark.parametrize(
    ("values", "host", "warned"),
    [
        pytest.param({"accessTokens": [KEY]}, "0.0.0.0", False, id="protected"),
        pytest.param({"host": "0.0.0.0"}, "0.0.0.0", False, id="open on purpose"),
        pytest.param({"host": "::1", "accessTokens": [KEY]}, "::1", False, id="both"),
        pytest.param({}, "127.0.0.1", True, id="neither"),
    ],
)
def test_a_gateway_is_open_to_others_only_with_keys_or_on_purpose(
    values: dict[str, Any], host: str, warned: bool
) -> None:
    config, warnings = gateway_config(settings(**values))

    assert config.host == host
    assert bool(warnings) == warned


def test_no_key_and_no_password_is_kept_where_it_can_be_read() -> None:
    config, _ = gateway_config(
        settings(accessTokens=["the-key"], redisUrl="redis://:the-password@host")
    )

    assert config.access_tokens[0].digest == hashlib.sha256(b"the-key").digest()
    assert b"the-key" not in msgspec.msgpack.encode(config)
    assert "the-password" not in repr(config)


def test_a_poe_token_has_no_place_in_it() -> None:
    config, _ = gateway_config(settings(tokens=["poe-token"], accessTokens=["k"]))

    assert b"poe-token" not in msgspec.msgpack.encode(config)


def test_an_access_token_can_be_a_table_and_its_file_hold_several(tmp_path: Any) -> None:
    keys = tmp_path / "keys"
    keys.write_text("one\ntwo\n")
    entry = {"key": f"file:{keys}", "name": "ci", "weight": 2, "models": ["m"], "rateLimit": 5}

    config, _ = gateway_config(settings(accessTokens=[entry, "three"]))

    first, second, third = config.access_tokens
    assert (first.name, first.weight, first.models, first.rate_limit) == ("ci", 2.0, ("m",), 5)
    assert first.client != second.client
    assert third == access_token("three")
    assert third.name == f"client-{third.client[:6]}"


def test_a_key_works_through_the_day_on_which_it_expires() -> None:
    import datetime

    entry = {"key": "k", "expires": datetime.date(1970, 1, 1)}

    config, _ = gateway_config(settings(accessTokens=[entry]))

    assert config.access_tokens[0].expires == 86_400.0


def test_a_key_listed_twice_counts_once_and_is_said() -> None:
    config, warnings = gateway_config(settings(accessTokens=[{"key": KEY, "weight": 3}, KEY]))

    assert [token.weight for token in config.access_tokens] == [3.0]
    assert "listed twice" in warnings[0]


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        pytest.param({}, True, id="nothing listed"),
        pytest.param({"bot": {"a": "A"}}, False, id="a list"),
        pytest.param({"bot": {"a": "A"}, "allowAnyBot": True}, True, id="a list and more"),
        pytest.param({"allowAnyBot": False}, False, id="none at all"),
    ],
)
def test_a_list_of_bots_is_closed_unless_said_otherwise(
    values: dict[str, Any], allowed: bool
) -> None:
    config, _ = gateway_config(settings(**values))

    assert config.any_bot is allowed


@pytest.mark.parametrize(
    ("values", "message"),
    [
        pytest.param({"port": 0}, "`port` = 0: expected a whole number >= 1", id="port"),
        pytest.param({"maxBody": 10**6}, "`maxBody`", id="body"),
        pytest.param({"keepAlive": float("nan")}, "`keepAlive`", id="not a number"),
        pytest.param({"keepAlive": float("inf")}, "`keepAlive`", id="infinite"),
        pytest.param({"host": ""}, "`host`", id="no host"),
        pytest.param({"bot": {"a": ""}}, "`bot", id="a bot without a name"),
        pytest.param({"redisUrl": "localhost"}, "`redisUrl`: expected redis://", id="redis"),
        pytest.param({"accessTokens": [{"key": "k", "weight": 0}]}, "weight", id="weight"),
    ],
)
def test_nonsense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        gateway_config(settings(**values))

    assert message in str(caught.value)


def test_it_passes_through_a_descriptor() -> None:
    config, _ = gateway_config(settings(accessTokens=["k"], bot={"a": "A"}))

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(config), type=GatewayConfig) == config


@pytest.mark.parametrize(
    ("key", "weak"),
    [
        pytest.param("secret", True, id="a word"),
        pytest.param("a" * 64, True, id="one character"),
        pytest.param("sk-1234", True, id="short"),
        pytest.param("0f3c9a7b2e5d8146c0a4", False, id="80 random bits"),
        pytest.param(KEY, False, id="128 random bits"),
    ],
)
def test_a_key_that_can_be_guessed_is_warned_of(key: str, weak: bool) -> None:
    _, warnings = gateway_config(settings(accessTokens=[key]))

    assert any("can be guessed" in warning for warning in warnings) is weak
    assert not any(key in warning for warning in warnings)


@pytest.mark.parametrize("networks", [["10.0.0.1/8"], ["proxy"], [""]])
def test_a_trusted_proxy_is_a_network(networks: list[str]) -> None:
    with pytest.raises(ConfigError, match="trustedProxies"):
        gateway_config(settings(trustedProxies=networks))


def test_another_fingerprint_key_gives_a_client_another_name() -> None:
    names = {
        gateway_config(settings(accessTokens=[KEY], fingerprintKey=key))[0].access_tokens[0].client
        for key in ("", "one", "two")
    }

    assert len(names) == 3


def test_an_access_token_may_have_a_group_and_budgets() -> None:
    terms = {"group": "lab", "dayBudget": 0, "totalBudget": 9, "timeZone": "Europe/Berlin"}
    config, _ = gateway_config(settings(accessTokens=[{"key": KEY, **terms}]))

    (token,) = config.access_tokens
    assert (token.group, token.day_budget, token.week_budget) == ("lab", 0, None)
    assert (token.total_budget, token.time_zone) == (9, "Europe/Berlin")


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"timeZone": "Berlin"}, "expected a time zone such as Europe/Berlin"),
        ({"timeZone": "../etc/passwd"}, "expected a time zone such as Europe/Berlin"),
        ({"group": " lab"}, "expected printable text"),
        ({"dayBudget": -1}, "dayBudget"),
    ],
)
def test_a_budget_that_is_none_is_refused(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gateway_config(settings(accessTokens=[{"key": KEY, **terms}]))
