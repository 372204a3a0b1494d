"""A PostgreSQL for our own tests: the server of the run, and a fresh database for each test that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eventbus.processors.postgres import EmbeddedServer
from eventbus.processors.store.connect import connect
from eventbus.processors.testing import TemporaryServer


async def execute(dsn: str, *statements: str) -> None:
    """Run statements, each on its own."""
    connection = await connect(dsn)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


@pytest.fixture(scope="session")
def postgres_server(eventbus_postgres: TemporaryServer) -> EmbeddedServer:
    """The server; tests that kill or stop one make their own."""
    return eventbus_postgres.server


@pytest.fixture
def empty_dsn(eventbus_postgres: TemporaryServer) -> Iterator[str]:
    """A database without our schema."""
    yield from _database(eventbus_postgres, "template1")


@pytest.fixture
def postgres_dsn(eventbus_postgres: TemporaryServer) -> Iterator[str]:
    """A database with our schema and nothing in it."""
    yield from _database(eventbus_postgres, "migrated")


def _database(server: TemporaryServer, template: str) -> Iterator[str]:
    dsn = server.create_database(template)
    yield dsn
    server.drop_database(dsn)
