"""Fixtures for tests that need a PostgreSQL server of their own."""

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
    """A data directory; not below pytest's, which the server's user may not enter when root runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="eventbus-test-"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def pristine() -> Iterator[Path]:
    """The data directory of a stopped server: copying it is faster than running initdb."""
    folder = Path(tempfile.mkdtemp(prefix="eventbus-test-"))
    folder.chmod(0o755)
    with EmbeddedServer(folder / "data", settings={"fsync": "off"}):
        pass
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def server(server_dir: Path, pristine: Path) -> Iterator[EmbeddedServer]:
    """A server for this test, not started; stopped at the end."""
    subprocess.run(["cp", "-a", str(pristine), str(server_dir)], check=True)
    server = EmbeddedServer(server_dir, settings={"fsync": "off"})
    yield server
    server.start()
    server.leave()


@pytest.fixture
def own_server(server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A running server for a test that kills it."""
    with server:
        yield server
