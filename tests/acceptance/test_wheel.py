"""The wheel is complete: what a user installs works without this checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("catalog", "chains", "eventbus", "processors")


def run(*command: str, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT))
    [built] = folder.glob("*.whl")
    return built


def test_it_holds_the_packages_with_their_data(wheel: Path) -> None:
    """Code, type markers, YAML and SQL of the four packages, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for package in PACKAGES:
        assert f"{package}/py.typed" in names
    data = {
        str(p.relative_to(ROOT))
        for suffix in ("yaml", "sql")
        for name in PACKAGES
        for p in (ROOT / name).rglob(f"*.{suffix}")
    }
    assert data
    assert data <= set(names)
    assert {name.split("/")[0] for name in names} == {
        *PACKAGES,
        next(n for n in names if "dist-info" in n).split("/")[0],
    }


def test_it_works_where_it_is_installed(wheel: Path, tmp_path: Path) -> None:
    """The program runs from the installed files, not from this checkout."""
    target = tmp_path / "site"
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(wheel))
    environment = {**os.environ, "PYTHONPATH": str(target)}
    where = "import eventbus; print(eventbus.__file__); print(len(eventbus.Catalog.default().chains))"
    shown = run(sys.executable, "-c", where, cwd=tmp_path, env=environment)
    assert shown.startswith(str(target))
    made = run(sys.executable, "-m", "eventbus", "generate", "--chains", "1", cwd=tmp_path, env=environment)
    assert made.count('"correlation_id"') >= 2
    assert (target / "bin" / "eventbus").exists()
