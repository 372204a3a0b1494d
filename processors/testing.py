"""A PostgreSQL server for tests: one server per run, an empty database with the schema per test."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from eventbus.processors.postgres.server import EmbeddedServer
from eventbus.processors.store.connect import connect
from eventbus.processors.store.migrate import migrate
from eventbus.processors.store.store import EventStore

if TYPE_CHECKING:
    from eventbus.inprocess import InProcessBus
    from eventbus.processors.processor import Processor

TEMPLATE = "migrated"
"""Database with the schema, copied for each test."""


class TemporaryServer:
    """An embedded server with its data in a temporary directory, as a context manager.

    Its methods use `asyncio.run`, so they cannot be called from a running event loop.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="eventbus-test-"))
        self._folder.chmod(0o755)  # as root, the server runs as another user, who must be able to enter it
        self.server = EmbeddedServer(self._folder / "data", settings={"fsync": "off"})
        self.server.start()
        asyncio.run(self._make_template())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.leave()
        shutil.rmtree(self._folder)

    def create_database(self, template: str = TEMPLATE) -> str:
        """Create a database, by default empty with the schema; returns its URL."""
        name = f"test_{next(self._numbers)}"
        asyncio.run(self._execute(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return self.dsn_of(name)

    def drop_database(self, dsn: str) -> None:
        """Drop a database, and terminate its connections."""
        name = dsn.split("?", maxsplit=1)[0].rpartition("/")[2]
        asyncio.run(self._execute(f"DROP DATABASE {name} WITH (FORCE)"))

    def dsn_of(self, name: str) -> str:
        """The URL of a database of the server."""
        return self.server.dsn.replace("/postgres?", f"/{name}?")

    async def _execute(self, statement: str) -> None:
        connection = await connect(self.server.dsn)
        await connection.execute(statement)
        await connection.close()

    async def _make_template(self) -> None:
        await self._execute(f"CREATE DATABASE {TEMPLATE}")
        connection = await connect(self.dsn_of(TEMPLATE))
        await migrate(connection)
        await connection.close()


class EventStoreFixture:
    """The value of the fixture `event_store`: an empty database with the schema."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        """A PostgreSQL URL."""

    def open(self) -> AbstractAsyncContextManager[EventStore]:
        """An `EventStore` for queries, as an asynchronous context manager."""
        return EventStore.open(self.dsn)

    def processing(self, bus: InProcessBus, **options: Any) -> Processor:
        """A processor that stores the events of the bus (group `eventbus`), as an asynchronous context manager."""
        from eventbus.processors.processor import Processor  # noqa: PLC0415  # importing Faust takes a second

        return Processor(self.dsn, bus=bus, **options)
