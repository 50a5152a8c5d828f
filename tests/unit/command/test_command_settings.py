"""Where settings come from, and which of them wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from contract.config import ConfigError
from gateway.config import gateway_config
from poe2gpt.flags import parse
from poe2gpt.settings import settings


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


def test_a_wrong_variable_is_named() -> None:
    merged, _ = settings(parse([]), {"PORT": "http"})

    with pytest.raises(ConfigError, match="`PORT` = 'http': expected a whole number"):
        gateway_config(merged)


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
