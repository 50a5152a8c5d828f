"""What is written down for a process of where its settings come from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from contract.config import read_data
from poe2gpt.flags import parse
from poe2gpt.reread import Role, Source, source_of
from poe2gpt.settings import settings
from runtime.reloading import signatures, unpacked_source, watched

ENVIRONMENT = {
    "POE_TOKENS": "env-poe-token",
    "ACCESS_TOKENS": "env-access-token",
    "TOKEN_KEY": "env-token-key-0123456789-0123456789",
    "FILE_POE": "named-poe-token",
    "FILE_ACCESS": "named-access-token",
    "PATH": "/bin",
}
TEXT = """
tokens = ["env:FILE_POE", "file:%s/poe"]
accessTokens = ["env:FILE_ACCESS", "file:%s/access"]
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("poe", "access"):
        (tmp_path / name).write_text(f"file-{name}-token")
    (tmp_path / "config.toml").write_text(TEXT % (tmp_path, tmp_path))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def write(role: Role, *flags: str, **defaults: str) -> tuple[dict[str, str], bytes]:
        line = parse([role, "--config", str(tmp_path / "config.toml"), *flags])
        read, file = settings(line, ENVIRONMENT)
        fd = source_of(role, line, ENVIRONMENT, read, file, defaults=defaults)
        return watched(fd), read_data(fd)

    return write


def test_a_gateways_source_holds_nothing_that_is_the_workers(written: Any, tmp_path: Path) -> None:
    files, data = written("gateway", "-t", "flag-poe-token", tokenKey="default-token-key")

    assert {Path(name).name for name in files} == {"config.toml", "access"}
    assert files == signatures(files)
    for secret in ("poe-token", "token-key"):
        assert secret.encode() not in data
    assert b"env-access-token" in data
    assert b"named-access-token" in data


def test_a_workers_source_holds_nothing_that_is_the_gateways(written: Any) -> None:
    files, data = written("worker", "-sk", "flag-access-token")

    assert {Path(name).name for name in files} == {"config.toml", "poe"}
    assert b"access-token" not in data
    assert b"named-poe-token" in data


def test_settings_are_read_again_as_they_were_at_first(written: Any) -> None:
    _, data = written("gateway", "--port", "7000", keyPrefix="blue:")
    source: Source = unpacked_source(data, Source)

    again, _ = source.settings()

    assert again.values["port"] == 7000
    assert again.values["keyPrefix"] == "blue:"
    assert again.values["accessTokens"] == ["env-access-token"]
    assert os.path.isabs(source.config or "")  # noqa: PTH117


def test_a_file_that_changes_is_told_by_its_signature(tmp_path: Path) -> None:
    file = tmp_path / "file"
    seen = [signatures({str(file): None})]
    for text in ("one", "other"):
        file.write_text(text)
        seen.append(signatures({str(file): None}))

    assert seen[0] == {str(file): ""}
    assert len({str(each) for each in seen}) == 3
