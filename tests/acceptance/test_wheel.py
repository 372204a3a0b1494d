"""The wheel is complete and claims one name: what a user installs works without this checkout, beside any project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUB_PACKAGES = ("catalog", "chains", "processors")

PROJECT = {
    "catalog/__init__.py": "PRODUCTS = ['lamp', 'desk']\n",
    "chains/__init__.py": "SHOPS = ['north', 'south']\n",
    "processors/__init__.py": "def total(events):\n    return len(events)\n",
    "tests/test_shop.py": """
import eventbus
from catalog import PRODUCTS
from chains import SHOPS
from processors import total


def test_both_catalogs(chain_generator):
    chain = chain_generator.chain()
    assert total(chain) >= 2
    assert PRODUCTS and SHOPS
    assert eventbus.Catalog.default().chains


async def test_store(event_bus, event_store, chain_generator):
    chain = chain_generator.chain()
    async with event_store.open() as store, event_store.processing(event_bus):
        await event_bus.publish_many(chain)
        await event_bus.settled("eventbus")
        assert (await store.chain(chain[0].correlation_id)).verdict == "conforms"
""",
    "pytest.ini": "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n",
}
"""Somebody's project whose own packages have the names of ours."""


def run(*command: str, **options: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, **options)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two wheels: one built from this checkout, one from the source archive that was built from it."""
    direct, packed = tmp_path_factory.mktemp("direct"), tmp_path_factory.mktemp("packed")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(direct), str(ROOT))
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(packed), str(ROOT))
    [wheel], [repacked] = direct.glob("*.whl"), packed.glob("*.whl")
    return wheel, repacked


@pytest.fixture(scope="module")
def python(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment: the wheel, and the packages that it depends on."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    program = folder / "bin" / "python"
    site = Path(run(str(program), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # its own .pth files are not read
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-deps", "--python", str(program), str(built[0]))
    return program


def test_it_holds_one_package_with_its_data(built: tuple[Path, Path]) -> None:
    """Code, type markers, YAML, SQL and style sheets, under the one name `eventbus`."""
    with zipfile.ZipFile(built[0]) as archive:
        names = archive.namelist()
    assert len(names) == len(set(names))
    [metadata] = {name.split("/")[0] for name in names} - {"eventbus"}
    assert metadata.endswith(".dist-info")
    data = {
        path.relative_to(ROOT).as_posix()
        for folder in (ROOT / "eventbus", *(ROOT / name for name in SUB_PACKAGES))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    expected = {path if path.startswith("eventbus/") else f"eventbus/{path}" for path in data}
    assert {"eventbus/py.typed", "eventbus/catalog/data/visitor.yaml", "eventbus/guide/start.md"} <= expected
    assert {name for name in names if name.startswith("eventbus/")} == expected


def test_the_source_archive_makes_the_same_wheel(built: tuple[Path, Path]) -> None:
    """The links in `eventbus/` do not survive an archive; the folders stand in their place."""
    contents = []
    for wheel in built:
        with zipfile.ZipFile(wheel) as archive:
            contents.append({name: archive.read(name) for name in archive.namelist() if name.startswith("eventbus/")})
    assert contents[0] == contents[1]


def test_command_and_fixtures_beside_packages_of_the_same_names(python: Path, tmp_path: Path) -> None:
    """A project with `catalog/`, `chains/` and `processors/` of its own keeps them, and uses ours."""
    for name, text in PROJECT.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYTEST", "COV"))}
    where = run(str(python), "-c", "import eventbus.catalog as c; print(c.__file__)", cwd=tmp_path, env=environment)
    assert where.startswith(str(python.parents[1]))
    generated = run(str(python.with_name("eventbus")), "generate", "--chains", "1", cwd=tmp_path, env=environment)
    assert generated.count('"correlation_id"') >= 2
    page = run(str(python.with_name("eventbus")), "guide", "start", cwd=tmp_path, env=environment)
    assert page.startswith("# Start\n")
    report = run(str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=tmp_path, env=environment)
    assert "2 passed" in report


def test_the_description_has_no_link_into_the_repository(built: tuple[Path, Path]) -> None:
    """A package index shows the README alone: relative links and pictures would lead nowhere."""
    with zipfile.ZipFile(built[0]) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        description = archive.read(metadata).decode().partition("\n\n")[2]
    assert description.startswith("# eventbus-mock")
    targets = re.findall(r"\]\(([^)]*)\)|(?:src|href)=[\"']([^\"']*)", description)
    assert targets
    assert all((markdown or html).startswith("https://") for markdown, html in targets)
