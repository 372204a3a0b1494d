"""A PostgreSQL for tests: one embedded server for the run, and a fresh, migrated database for each test that asks."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from processors.store.connect import connect
from processors.store.embedded import EmbeddedServer
from processors.store.migrate import migrate

TEMPLATE = "migrated"
_numbers = itertools.count(1)


def dsn_of(server: EmbeddedServer, name: str) -> str:
    """The address of a database of the server."""
    return server.dsn.replace("/postgres?", f"/{name}?")


async def execute(dsn: str, *statements: str) -> None:
    """Run statements, each on its own."""
    connection = await connect(dsn)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedServer]:
    """The server; tests that kill or stop one make their own."""
    folder = Path(tempfile.mkdtemp(prefix="eventbus-test-"))  # not below pytest's folder, which only root may enter
    folder.chmod(0o755)
    try:
        with EmbeddedServer(folder / "data", settings={"fsync": "off"}) as server:
            asyncio.run(_make_template(server))
            yield server
    finally:
        shutil.rmtree(folder)


async def _make_template(server: EmbeddedServer) -> None:
    await execute(server.dsn, f"CREATE DATABASE {TEMPLATE}")
    connection = await connect(dsn_of(server, TEMPLATE))
    await migrate(connection)
    await connection.close()


@pytest.fixture
def empty_dsn(postgres_server: EmbeddedServer) -> str:
    """A database without our schema."""
    return _database(postgres_server, "template1")


@pytest.fixture
def postgres_dsn(postgres_server: EmbeddedServer) -> str:
    """A database with our schema and nothing in it."""
    return _database(postgres_server, TEMPLATE)


def _database(server: EmbeddedServer, template: str) -> str:
    """A new database; it goes with the server, because dropping one takes longer than making it."""
    name = f"test_{next(_numbers)}"
    asyncio.run(execute(server.dsn, f"CREATE DATABASE {name} TEMPLATE {template}"))
    return dsn_of(server, name)
