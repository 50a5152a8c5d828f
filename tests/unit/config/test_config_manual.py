"""`config.example.toml` is the manual, so it must not drift from the truth."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from admin.config import AdminConfig, admin_config
from contract.config import File, ModelSettings, Settings, keys_of
from gateway.config import GatewayConfig, gateway_config
from worker.config import WorkerConfig, worker_config

MANUAL = (Path(__file__).parents[3] / "config.example.toml").read_text()
SHOWN_DEFAULT = re.compile(r"^# (?=\w+ = )", re.MULTILINE)
EXAMPLE = re.compile(r"^#   (\w+ = (?:\[\n(?:#     .*\n)+#   \]|.+))$", re.MULTILINE)

OF_A_MODEL = re.compile(r"^#   (\[models\..+\]|  \w+ = .+)$", re.MULTILINE)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(MANUAL, id="as it is"),
        pytest.param(SHOWN_DEFAULT.sub("", MANUAL), id="with every shown default set"),
    ],
)
def test_the_manual_says_what_the_defaults_are(text: str) -> None:
    settings = Settings(File("config.example.toml", text, tomllib.loads(text)))

    gateway, _ = gateway_config(settings)
    worker, _ = worker_config(settings)

    assert gateway == GatewayConfig()
    assert worker == WorkerConfig()
    assert admin_config(settings) == AdminConfig()


def test_the_manual_shows_every_setting_and_no_other() -> None:
    known = {key for type_ in (GatewayConfig, WorkerConfig, AdminConfig) for key in keys_of(type_)}

    shown = tomllib.loads(SHOWN_DEFAULT.sub("", MANUAL)).keys()

    assert shown | {"allowAnyBot"} == known


def test_the_examples_in_the_manual_are_valid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("TEAM_KEY", "MY_KEY", "GUEST_KEY", "LAB_KEY"):
        monkeypatch.setenv(name, name)
    for name in ("poe_tokens", "ci"):
        (tmp_path / name).write_text(name)
    examples = [re.sub(r"^# {3}", "", each, flags=re.MULTILINE) for each in EXAMPLE.findall(MANUAL)]
    text = "\n".join(examples).replace("/run/secrets", str(tmp_path))
    settings = Settings(File("examples", text, tomllib.loads(text)))

    gateway, _ = gateway_config(settings)
    worker, _ = worker_config(settings)

    assert len(examples) == 3
    assert len(gateway.access_tokens) == 4
    assert len(worker.tokens) == 2


def test_the_manual_shows_every_setting_of_a_model_with_its_default() -> None:
    text = "\n".join(OF_A_MODEL.findall(MANUAL))

    settings = Settings(File("examples", text, tomllib.loads(text)))

    (shown,) = settings.values["models"].values()
    assert shown.keys() == set(keys_of(ModelSettings))
    assert list(worker_config(settings)[0].models.values()) == [ModelSettings()]
