"""The PostgreSQL side: the embedded server, the schema, and reading what was stored."""

from processors.store.embedded import Database, EmbeddedServer, database
from processors.store.facts import Facts
from processors.store.store import Conservation, EventStore, Page, StoredChain, StoredDeadLetter

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
