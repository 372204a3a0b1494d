"""The PostgreSQL server: embedded, or yours."""

from eventbus.processors.postgres.server import Database, EmbeddedServer, database

__all__ = ["Database", "EmbeddedServer", "database"]
