"""A PostgreSQL server that the user runs, and the choice between it and the embedded one."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Self

from eventbus.processors.errors import NoDatabase
from eventbus.processors.postgres.server import EmbeddedServer, default_data_dir


class ExternalServer:
    """A PostgreSQL server run by somebody else, with the interface of `EmbeddedServer`."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    @property
    def address(self) -> str:
        """The server's location, to be displayed: without the password."""
        return f"at {without_password(self.dsn)}"

    def start(self) -> None:
        """Does nothing."""

    def leave(self) -> None:
        """Does nothing."""


Database = EmbeddedServer | ExternalServer


def database(data_dir: Path | str | None = None, *, database_url: str | None = None, create: bool = True) -> Database:
    """Choose the database server; returns a context manager with a `dsn`.

    Args:
        data_dir: data directory of the embedded server; `default_data_dir()` by default.
        database_url: the URL of an external server. Without it, the environment's `DATABASE_URL` is used, unless
            `data_dir` is given.
        create: False refuses to set up a new embedded server.

    Raises:
        NoDatabase: `create` is False and the embedded server has not been set up.
    """
    url = database_url or (os.environ.get("DATABASE_URL") if data_dir is None else None)
    if url:
        return ExternalServer(url)
    server = EmbeddedServer(Path(data_dir) if data_dir else default_data_dir())
    if not create and not server.exists():
        raise NoDatabase(
            f"there is no database in {server.data_dir}: nothing has been stored yet; "
            "run `eventbus mock` first, or give --data-dir or --database-url"
        )
    return server


def without_password(dsn: str) -> str:
    """The URL without its password; from a malformed URL, more may be removed."""
    return re.sub(r"([?&][^=&]*password)=[^&]*", r"\1=…", re.sub(r"(//[^:/@?]*):.*@", r"\1@", dsn))
