"""setup.sh, which makes the secrets that Compose mounts."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from store import address

SCRIPT = Path(__file__).parents[2] / "setup.sh"


def set_up(directory: Path, env_file: str = "", **variables: str) -> str:
    shutil.copy(SCRIPT, directory)
    if env_file:
        (directory / ".env").write_text(env_file)
    done = subprocess.run(
        ["sh", "setup.sh"],
        cwd=directory,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def made(directory: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in (directory / "secrets").iterdir()}


def test_what_was_in_env_is_taken_over(tmp_path: Path) -> None:
    said = set_up(tmp_path, 'PORT=80\nPOE_TOKENS="one, two"\nACCESS_TOKENS=key-a,key-b\r\n')

    secrets = made(tmp_path)
    assert secrets["poe_tokens"] == "one\ntwo\n"
    assert secrets["access_tokens"] == "key-a\nkey-b\n"
    assert "remove them" in said


def test_variables_win_over_env(tmp_path: Path) -> None:
    set_up(tmp_path, "POE_TOKENS=old\n", POE_TOKENS="new")

    assert made(tmp_path)["poe_tokens"] == "new\n"


def test_with_nothing_given_it_says_what_is_missing_and_makes_the_rest(tmp_path: Path) -> None:
    said = set_up(tmp_path)

    secrets = made(tmp_path)
    assert "put your Poe API keys into secrets/poe_tokens" in said
    assert secrets["access_tokens"].startswith("sk-")
    names = ("redis_password", "fingerprint_key", "token_key", "admin_token")
    keys = [secrets[name] for name in names]
    assert len({*keys, secrets["access_tokens"]}) == 5
    assert min(map(len, keys)) > 48
    assert "asks for the token in secrets/admin_token" in said


def test_a_token_key_of_the_workers_file_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "worker.toml").write_text(
        '# tokenKey = "an example"\ntokenKey = "in use"  # ours\n'
    )

    set_up(tmp_path, "WORKER_CONFIG=./worker.toml\n")

    assert made(tmp_path)["token_key"] == "in use\n"


@pytest.mark.parametrize("name", ["redis_url", "redis_sentinel_url"])
def test_the_urls_have_the_password(tmp_path: Path, name: str) -> None:
    set_up(tmp_path)

    secrets = made(tmp_path)
    parsed = address.parse(secrets[name].strip())
    assert parsed.login.password == secrets["redis_password"].strip()


def test_what_is_there_stays(tmp_path: Path) -> None:
    set_up(tmp_path, POE_TOKENS="one")
    first = made(tmp_path)

    set_up(tmp_path, POE_TOKENS="two", ACCESS_TOKENS="three")

    assert made(tmp_path) == first


def test_only_its_owner_may_look_into_the_directory(tmp_path: Path) -> None:
    set_up(tmp_path)

    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700


def test_it_tells_compose_where_the_secrets_are_once(tmp_path: Path) -> None:
    # Given an .env whose last line has no end
    set_up(tmp_path, "PORT=80")
    set_up(tmp_path)

    assert (tmp_path / ".env").read_text() == "PORT=80\nSECRETS=secrets\n"


def test_secrets_may_be_elsewhere(tmp_path: Path) -> None:
    set_up(tmp_path, "SECRETS=./kept/here\n")

    assert (tmp_path / "kept" / "here" / "redis_password").exists()
    assert not (tmp_path / "secrets").exists()


@pytest.mark.skipif(not shutil.which("docker"), reason="needs docker compose")
def test_compose_says_what_to_do_where_there_are_no_secrets_yet(tmp_path: Path) -> None:
    shutil.copy(SCRIPT.parent / "compose.yaml", tmp_path)

    done = subprocess.run(
        ["docker", "compose", "up"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode
    assert "run first, once: sh setup.sh" in done.stderr
