"""What Docker's image is built from."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_image_is_built_from_every_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    let_in = (ROOT / ".dockerignore").read_text().split()

    assert {f"!{package}" for package in packages} <= set(let_in)


def test_the_wheel_has_all_that_the_packages_read(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )

    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    read = {
        str(file.relative_to(ROOT))
        for pattern in ("admin/templates/*", "admin/static/*", "contract/lua/*.lua")
        for file in ROOT.glob(pattern)
    }
    assert len(read) > 40
    assert read <= inside
    assert "admin/texts/shell.py" in inside
