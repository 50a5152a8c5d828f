"""What Docker's image is built from."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_image_is_built_from_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    let_in = (ROOT / ".dockerignore").read_text().split()

    assert {f"!{package}" for package in packages} <= set(let_in)
