"""Migrates the database schema: numbered SQL files, each applied once, under an advisory lock."""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

from eventbus.processors.errors import SchemaTooNew
from eventbus.processors.store.connect import Connection

LOCK = 0x6576656E746275
"""Key of the advisory lock that processes hold while they migrate: "eventbu" in ASCII."""


class Migration(NamedTuple):
    """One step of the schema."""

    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """The migrations of this release in order, from files named `NNNN_name.sql`."""
    directory = files("eventbus.processors") / "store" / "migrations"
    sources = sorted((file for file in directory.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(int(file.name[:4]), file.name, file.read_text("utf-8")) for file in sources]


async def migrate(connection: Connection) -> int:
    """Apply the missing migrations in one transaction; returns their number.

    Processes that start at the same time wait for each other.

    Raises:
        SchemaTooNew: the database has migrations that this release does not know.
    """
    all_migrations = migrations()
    if await _applied(connection) == len(all_migrations):
        return 0
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        applied = await _applied(connection)
        if applied > len(all_migrations):
            raise SchemaTooNew(
                f"the database has {applied} migrations, this release knows {len(all_migrations)}; "
                "use the release that migrated it, or a newer one"
            )
        for migration in all_migrations[applied:]:
            await _apply(connection, migration)
        return len(all_migrations) - applied


async def is_migrated(connection: Connection) -> bool:
    """Whether the database has the schema, of any version."""
    return await _applied(connection) > 0


async def _applied(connection: Connection) -> int:
    # pg_tables, not to_regclass: inside a transaction its cache may miss what another process has just committed
    exists = "SELECT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'eventbus' AND tablename = 'migrations')"
    if not await connection.fetchval(exists):
        return 0
    newest: int = await connection.fetchval("SELECT coalesce(max(number), 0) FROM eventbus.migrations")
    return newest


async def _apply(connection: Connection, migration: Migration) -> None:
    if migration.number == 1:
        await connection.execute(
            """CREATE SCHEMA IF NOT EXISTS eventbus;
            CREATE TABLE eventbus.migrations (
              number int PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL DEFAULT now())"""
        )
    await connection.execute(migration.sql)
    await connection.execute(
        "INSERT INTO eventbus.migrations (number, name) VALUES ($1, $2)", migration.number, migration.name
    )
