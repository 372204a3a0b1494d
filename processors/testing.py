"""A real PostgreSQL for tests: one server for the run, a fresh and migrated database for each test."""

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


class TemporaryServer:
    """An embedded server with its data among the temporary files; use it as a context manager.

    Its methods run an event loop of their own, so call them where none is running.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="eventbus-test-"))
        self._folder.chmod(0o755)  # as root, the server runs as another user, who must be able to walk down to it
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
        """The address of a new database; by default with our schema and nothing in it."""
        name = f"test_{next(self._numbers)}"
        asyncio.run(self._execute(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return self.dsn_of(name)

    def drop_database(self, dsn: str) -> None:
        """Remove it, whoever is still connected."""
        name = dsn.split("?", maxsplit=1)[0].rpartition("/")[2]
        asyncio.run(self._execute(f"DROP DATABASE {name} WITH (FORCE)"))

    def dsn_of(self, name: str) -> str:
        """The address of one of its databases."""
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
    """What the fixture `event_store` gives: an empty database, and the two things a test does with it."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        """A PostgreSQL URL."""

    def open(self) -> AbstractAsyncContextManager[EventStore]:
        """The store, to query."""
        return EventStore.open(self.dsn)

    def processing(self, bus: InProcessBus, **options: Any) -> Processor:
        """A processor (group `eventbus`) that stores what is on the bus, as an asynchronous context manager."""
        from eventbus.processors.processor import Processor  # noqa: PLC0415  # Faust takes a second to import: only who needs it

        return Processor(self.dsn, bus=bus, **options)
