"""The schema is brought up to date once, whoever comes first, and never downgraded."""

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
    """The second time there is nothing to do."""
    connection = await connect(empty_dsn)
    assert await migrate(connection) == len(migrations())
    assert await migrate(connection) == 0
    await connection.close()


async def test_processes_that_start_together(empty_dsn: str) -> None:
    """Of many at once, exactly one applies each migration, and all see the schema when they are done."""
    connections = [await connect(empty_dsn) for _ in range(8)]
    applied = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(applied) == [0] * 7 + [len(migrations())]
    for connection in connections:
        assert await connection.fetchval("SELECT count(*) FROM eventbus.events") == 0
        await connection.close()


async def test_newer_database_is_refused(postgres_dsn: str) -> None:
    """A database that a newer release migrated is left alone, and the message says what to do."""
    await execute(postgres_dsn, "INSERT INTO eventbus.migrations VALUES (99, '0099_future.sql')")
    connection = await connect(postgres_dsn)
    with pytest.raises(SchemaTooNew, match=f"has 99 migrations, this release knows {len(migrations())}"):
        await migrate(connection)
    await connection.close()


async def test_failed_migration_leaves_nothing(empty_dsn: str) -> None:
    """All steps are applied, or none: a table of ours in the way stops them before the first."""
    await execute(empty_dsn, "CREATE SCHEMA eventbus", "CREATE TABLE eventbus.events ()")
    connection = await connect(empty_dsn)
    with pytest.raises(asyncpg.DuplicateTableError):
        await migrate(connection)
    assert await connection.fetchval("SELECT to_regclass('eventbus.offsets')") is None
    await connection.close()


def test_migrations_are_numbered_without_gaps() -> None:
    """The number of the newest is how many there are."""
    assert [migration.number for migration in migrations()] == list(range(1, len(migrations()) + 1))


async def test_every_statement_is_understood(postgres_dsn: str) -> None:
    """PostgreSQL can prepare each statement of queries.sql."""
    connection = await connect(postgres_dsn)
    await connection.execute(SQL["stage"])
    for statement in SQL.values():
        await connection.prepare(statement)
    await connection.close()


def test_old_server_is_refused() -> None:
    """The sentence says what is needed, what came, where, and what else can be done; never the password."""
    problem = version_problem(17, "postgresql://me:secret@db/events")
    assert isinstance(problem, PostgresTooOld)
    assert str(problem) == (
        "expected PostgreSQL 18 or newer at postgresql://me@db/events, got 17; "
        "upgrade it, or leave DATABASE_URL unset to use the embedded server"
    )
    assert version_problem(18, "") is None


async def test_refusal_is_not_taken_for_absence(postgres_dsn: str) -> None:
    """A database that does not exist is an error of ours, but not one that waiting can mend."""
    with pytest.raises(StoreError, match="does not exist") as refused:
        await connect(postgres_dsn.replace("/test_", "/no_"))
    assert not isinstance(refused.value, StoreUnreachable)


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
    """An address may be shown, its password may not."""
    assert without_password(dsn) == shown
