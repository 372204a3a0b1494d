"""Fixtures for tests that need PostgreSQL in ways that others do not."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventbus.processors.postgres import EmbeddedServer


@pytest.fixture
def server_dir() -> Iterator[Path]:
    """A folder for a server's data; not below pytest's own, which only root may enter when root runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="eventbus-test-"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def pristine() -> Iterator[Path]:
    """The data of a server that was set up and stopped: copying it is quicker than making it again."""
    folder = Path(tempfile.mkdtemp(prefix="eventbus-test-"))
    folder.chmod(0o755)
    with EmbeddedServer(folder / "data", settings={"fsync": "off"}):
        pass
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def server(server_dir: Path, pristine: Path) -> Iterator[EmbeddedServer]:
    """A server of its own, not started; stopped in the end."""
    subprocess.run(["cp", "-a", str(pristine), str(server_dir)], check=True)
    server = EmbeddedServer(server_dir, settings={"fsync": "off"})
    yield server
    server.start()
    server.leave()


@pytest.fixture
def own_server(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A server of its own for a test that kills it."""
    with server:
        yield server
