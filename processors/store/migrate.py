"""Brings a database to the schema this release knows: numbered SQL files, each applied once, under a lock."""

from __future__ import annotations

from importlib.resources import files
from typing import NamedTuple

from eventbus.processors.errors import SchemaTooNew
from eventbus.processors.store.connect import Connection

LOCK = 0x6576656E746275  # "eventbu": any number will do, as long as every process takes the same


class Migration(NamedTuple):
    """One step of the schema."""

    number: int
    name: str
    sql: str


def migrations() -> list[Migration]:
    """The steps shipped with this release, in order (files `NNNN_name.sql`)."""
    found = [
        file for file in (files("eventbus.processors") / "store" / "migrations").iterdir() if file.name.endswith(".sql")
    ]
    return [
        Migration(int(file.name[:4]), file.name, file.read_text("utf-8"))
        for file in sorted(found, key=lambda f: f.name)
    ]


async def migrate(connection: Connection) -> int:
    """Apply the steps that are missing, all or none of them; returns how many.

    Processes that start together wait for each other here.

    Raises:
        SchemaTooNew: the database knows steps that this release does not.
    """
    known = migrations()
    if await _applied(connection) == len(known):
        return 0
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        applied = await _applied(connection)
        if applied > len(known):
            raise SchemaTooNew(
                f"the database has {applied} migrations, this release knows {len(known)}; "
                "use the release that migrated it, or a newer one"
            )
        for migration in known[applied:]:
            await _apply(connection, migration)
        return len(known) - applied


async def is_migrated(connection: Connection) -> bool:
    """Whether anything of ours is in the database."""
    return await _applied(connection) > 0


async def _applied(connection: Connection) -> int:
    # not to_regclass: it asks a cache, which inside a transaction may not know yet what another process has just done
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
