"""Where settings come from, and which of them wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.config import ConfigError
from gateway.config import gateway_config
from poe2gpt.flags import parse
from poe2gpt.settings import ignored_host, settings


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "variable", "flag", "port"),
    [
        pytest.param("", "", [], 3700, id="default"),
        pytest.param("port = 1", "", [], 1, id="file"),
        pytest.param("port = 1", "2", [], 2, id="environment over file"),
        pytest.param("port = 1", "2", ["-p", "3"], 3, id="flag over all"),
        pytest.param("port = 1", "", ["-t", "a"], 1, id="another flag overrides nothing"),
    ],
)
def test_the_nearer_source_wins(
    here: Path, file: str, variable: str, flag: list[str], port: int
) -> None:
    (here / "config.toml").write_text(file)

    merged, _ = settings(parse(flag), {"PORT": variable})

    assert gateway_config(merged)[0].port == port


def test_lists_in_variables_are_split_at_commas() -> None:
    merged, _ = settings(parse([]), {"POE_TOKENS": "a, b,", "ACCESS_TOKENS": "k"})

    assert merged.values == {"tokens": ["a", "b"], "accessTokens": ["k"]}


ODD_LISTS = [
    *('["a","b"]', "['a', 'b',]", "[a,b]", "[a, b]", '"a,b"', "'a','b'", '"a", b', "a\nb\n"),
    *('\'["a","b"]\'', r'"[\"a\",\"b\"]"', "a,b # two", "# two\na\r\nb", " a , b,, ", "\ufeffa,b"),
]


@pytest.mark.parametrize("text", ODD_LISTS, ids=repr)
def test_a_list_is_read_however_it_is_quoted(text: str) -> None:
    by_variable, _ = settings(parse([]), {"ACCESS_TOKENS": text})
    by_flag = parse(["-sk", text])

    assert by_variable.values == by_flag.given.values == {"accessTokens": ["a", "b"]}


@pytest.mark.parametrize(
    "text", ["[::1]:80,gw", '["[::1]:80", "gw"]', "'[::1]:80,gw'", "[::1]:80\n gw # ours"], ids=repr
)
def test_a_bracket_in_a_list_of_hosts_may_begin_an_address(text: str) -> None:
    merged, _ = settings(parse([]), {"ALLOWED_HOSTS": text})

    assert merged.values == {"allowedHosts": ["[::1]:80", "gw"]}


@pytest.mark.parametrize("text", ["", " ", '""', "''", "[]", "[ ]", "# none", ","], ids=repr)
def test_an_empty_list_in_a_variable_is_none(text: str) -> None:
    assert settings(parse([]), {"ACCESS_TOKENS": text})[0].values == {}


def test_an_entry_of_a_list_in_a_variable_may_be_a_table() -> None:
    merged, _ = settings(parse([]), {"POE_TOKENS": '[{"token": "a", "account": "x"}, 1234]'})

    assert merged.values == {"tokens": [{"token": "a", "account": "x"}, "1234"]}


@pytest.mark.parametrize(
    "text", ['{"token": "a", "account": "x"}', '\'{"token":"a","account":"x"}\'']
)
def test_a_table_in_a_variable_may_stand_alone(text: str) -> None:
    merged, _ = settings(parse([]), {"POE_TOKENS": text})

    assert merged.values == {"tokens": [{"token": "a", "account": "x"}]}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("POE_TOKENS", '"s3cret', "`POE_TOKENS`: a quote at its beginning or end"),
        ("POE_TOKENS", "a,s3cret'", "`POE_TOKENS`: a quote at its beginning or end"),
        ("ACCESS_TOKENS", '["s3cret"', "`ACCESS_TOKENS`: it begins like a JSON list, and is none"),
        ("ACCESS_TOKENS", "s3cret\udcff", "`ACCESS_TOKENS`: is not UTF-8"),
        ("ACCESS_TOKENS", "s3cret，b", "there is ， (U+FF0C) where , belongs"),
        ("ACCESS_TOKENS", "s3cret b", "`ACCESS_TOKENS`: `accessTokens[0]`: a secret is ASCII"),
        ("ACCESS_TOKENS", "a\u200bs3cret", "there is an invisible U+200B"),
        ("ACCESS_TOKENS", "[[1]]", "`ACCESS_TOKENS`: `accessTokens[0]`: expected"),
        ("PORT", "http", "`PORT` = 'http': expected a whole number"),
        ("PORT", "tcp://10.0.0.1:80", "`PORT` = "),
        ("PORT", "nan", "`PORT` = "),
        ("PORT", "1" * 5_000, "`PORT` = "),
        ("PORT", '"3700', "`PORT`: a quote at its beginning or end"),
        ("POE2GPT_HOST", "no.such.host.invalid", "`POE2GPT_HOST` = 'no.such.host.invalid': no"),
        ("REDIS_URL", "http://h", "`REDIS_URL`: expected redis://"),
        ("REDIS_URL", "redis://h:port", "`REDIS_URL`: expected host:6379"),
    ],
)
def test_a_wrong_variable_is_named(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        gateway_config(settings(parse([]), {name: text})[0])

    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ['"3701"', "'3701'", " 3701 # ours", "3701\r", "\ufeff3701"], ids=repr
)
def test_quotes_and_comments_that_env_files_keep_do_not_count(text: str) -> None:
    merged, _ = settings(parse([]), {"PORT": text})

    assert gateway_config(merged)[0].port == 3701


@pytest.mark.parametrize("host", ["x86_64-conda-linux-gnu", "my-machine", "127.0.0.1"])
def test_what_shells_keep_in_host_is_no_setting(host: str) -> None:
    merged, _ = settings(parse([]), {"HOST": host})

    assert merged.values == {}
    assert len(ignored_host({"HOST": host}, merged)) == (host == "127.0.0.1")


def test_an_address_in_host_is_not_warned_of_beside_a_setting() -> None:
    variables = {"HOST": "127.0.0.1", "POE2GPT_HOST": "127.0.0.1"}

    assert not ignored_host(variables, settings(parse([]), variables)[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param(
            "port = 1\nrateLimt = 3\n",
            "config.toml:2: unknown key `rateLimt`; did you mean `rateLimit`?",
            id="misspelt",
        ),
        pytest.param(
            '[bot]\n"m" = "B"\nport = 1\n', "config.toml:3: `bot.port`: a setting", id="below [bot]"
        ),
        pytest.param('[bot]\ngpt-4.1 = "GPT-4.1"\n', '"gpt-4.1" = "…"', id="a dot without quotes"),
    ],
)
def test_a_mistake_in_the_file_is_explained(here: Path, text: str, message: str) -> None:
    (here / "config.toml").write_text(text)

    with pytest.raises(ConfigError) as caught:
        settings(parse([]), {})

    assert message in str(caught.value)


@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_file_that_was_asked_for_must_exist(how: str) -> None:
    line, variables = (
        (["--config", "x.toml"], {}) if how == "flag" else ([], {"POE2GPT_CONFIG": "x.toml"})
    )

    with pytest.raises(ConfigError, match=r"x\.toml: cannot be read: No such file"):
        settings(parse(line), variables)
