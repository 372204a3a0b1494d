"""The PostgreSQL side: the embedded server, the schema, and reading what was stored."""

from eventbus.processors.postgres.server import Database, EmbeddedServer, database
from eventbus.processors.store.definitions import Facts
from eventbus.processors.store.store import Conservation, EventStore, Page, StoredChain, StoredDeadLetter

__all__ = [
    "Conservation",
    "Database",
    "EmbeddedServer",
    "EventStore",
    "Facts",
    "Page",
    "StoredChain",
    "StoredDeadLetter",
    "database",
]
