"""Fixtures for tests that need PostgreSQL in ways that others do not."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from processors.store.embedded import EmbeddedServer


@pytest.fixture
def server_dir() -> Iterator[Path]:
    """A folder for a server's data; not below pytest's own, which only root may enter when root runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="eventbus-test-"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def own_server(server_dir: Path) -> Iterator[EmbeddedServer]:
    """A server of its own for a test that kills or stops it."""
    with EmbeddedServer(server_dir, settings={"fsync": "off"}) as server:
        yield server
