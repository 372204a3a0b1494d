"""The PostgreSQL server: an embedded one, or one that the user runs."""

from eventbus.processors.postgres.external import Database, ExternalServer, database
from eventbus.processors.postgres.server import EmbeddedServer, default_data_dir

__all__ = ["Database", "EmbeddedServer", "ExternalServer", "database", "default_data_dir"]
