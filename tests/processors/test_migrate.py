"""Each migration is applied once, also by concurrent processes; a newer schema is refused."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from eventbus.processors.errors import PostgresTooOld, SchemaTooNew, StoreError, StoreUnreachable
from eventbus.processors.postgres.external import without_password
from eventbus.processors.store.connect import connect, version_problem
from eventbus.processors.store.migrate import migrate, migrations
from eventbus.processors.store.queries import SQL
from tests.postgres import execute


async def test_migrations_apply_once(empty_dsn: str) -> None:
    """A second call applies nothing."""
    connection = await connect(empty_dsn)
    assert await migrate(connection) == len(migrations())
    assert await migrate(connection) == 0
    await connection.close()


async def test_concurrent_migrations(empty_dsn: str) -> None:
    """Of several connections at once, one applies all migrations, and all see the schema afterwards."""
    connections = [await connect(empty_dsn) for _ in range(8)]
    applied = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(applied) == [0] * 7 + [len(migrations())]
    for connection in connections:
        assert await connection.fetchval("SELECT count(*) FROM eventbus.events") == 0
        await connection.close()


async def test_newer_database_is_refused(postgres_dsn: str) -> None:
    """A database migrated by a newer release is refused, with both numbers in the message."""
    await execute(postgres_dsn, "INSERT INTO eventbus.migrations VALUES (99, '0099_future.sql')")
    connection = await connect(postgres_dsn)
    with pytest.raises(SchemaTooNew, match=f"has 99 migrations, this release knows {len(migrations())}"):
        await migrate(connection)
    await connection.close()


async def test_failed_migration_leaves_nothing(empty_dsn: str) -> None:
    """Migrations are applied in one transaction: an existing table makes all of them fail."""
    await execute(empty_dsn, "CREATE SCHEMA eventbus", "CREATE TABLE eventbus.events ()")
    connection = await connect(empty_dsn)
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(connection)
    assert await connection.fetchval("SELECT to_regclass('eventbus.offsets')") is None
    await connection.close()


def test_migrations_are_numbered_without_gaps() -> None:
    """Migrations are numbered from 1."""
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


async def test_every_statement_can_be_prepared(postgres_dsn: str) -> None:
    """PostgreSQL can prepare each statement of queries.sql."""
    connection = await connect(postgres_dsn)
    await connection.execute(SQL["stage"])
    for statement in SQL.values():
        await connection.prepare(statement)
    await connection.close()


def test_old_server_is_refused() -> None:
    """The message has the required and the installed version, the address without password, and alternatives."""
    problem = version_problem(17, "postgresql://me:secret@db/events")
    assert isinstance(problem, PostgresTooOld)
    assert str(problem) == (
        "expected PostgreSQL 18 or newer at postgresql://me@db/events, got 17; "
        "upgrade it, or leave DATABASE_URL unset to use the embedded server"
    )
    assert version_problem(18, "") is None


async def test_refused_connection_is_not_transient(postgres_dsn: str) -> None:
    """A database that does not exist is a `StoreError`, but not a `StoreUnreachable`."""
    with pytest.raises(StoreError, match="does not exist") as error:
        await connect(postgres_dsn.replace("/test_", "/no_"))
    assert not isinstance(error.value, StoreUnreachable)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://me:pass@host/db", "postgresql://me@host/db"),
        ("postgresql://me@host/db", "postgresql://me@host/db"),
        ("postgresql:///db?host=/tmp", "postgresql:///db?host=/tmp"),
        ("postgresql://me:p@ss@host/db", "postgresql://me@host/db"),
        ("postgresql://me:pa/ss@host/db", "postgresql://me@host/db"),
        ("postgresql:///db?user=me&password=pass&host=/tmp", "postgresql:///db?user=me&password=…&host=/tmp"),
        ("postgresql://host/db?sslpassword=pass", "postgresql://host/db?sslpassword=…"),
    ],
)
def test_address_without_password(dsn: str, shown: str) -> None:
    """The displayed address has no password."""
    assert without_password(dsn) == shown
