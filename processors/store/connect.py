"""Connects to PostgreSQL, and classifies its errors by SQLSTATE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import asyncpg

from eventbus.processors.errors import PostgresTooOld, StoreError, StoreUnreachable
from eventbus.processors.postgres.external import without_password

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

MIN_VERSION = 18
"""The first major version with `RETURNING WITH (OLD …)`, which folds events into chains."""

SESSION = {
    "jit": "off",  # compilation takes longer than these queries
    "plan_cache_mode": "force_custom_plan",  # optional filters need a plan for the values at hand
    "timezone": "UTC",
}

TRANSIENT = {"08", "40", "53", "55", "57"}
"""SQLSTATE classes of errors that pass: connection, rollback, resources, lock not available, operator intervention."""

DATA_ERRORS = {"22", "23", "54"}
"""SQLSTATE classes of errors caused by a row: data, integrity, program limits (such as the size of an index entry)."""

TRANSIENT_ERRORS = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError, StoreUnreachable)
"""Exceptions without an SQLSTATE that asyncpg raises when a connection dies, an internal client error among them."""


def is_transient(error: BaseException) -> bool:
    """Whether a retry, perhaps on a new connection, may succeed."""
    return isinstance(error, TRANSIENT_ERRORS) or _sqlstate_class(error) in TRANSIENT


def is_data_error(error: BaseException) -> bool:
    """Whether a row caused the error, so that a retry fails again."""
    return _sqlstate_class(error) in DATA_ERRORS


def _sqlstate_class(error: BaseException) -> str:
    return (error.sqlstate or "")[:2] if isinstance(error, asyncpg.PostgresError) else ""


async def connect(dsn: str, *, application_name: str = "eventbus", timeout: float = 10, **options: Any) -> Connection:
    """Connect to PostgreSQL, and check the server's version.

    Args:
        dsn: a PostgreSQL URL.
        application_name: shown in `pg_stat_activity`.
        timeout: seconds to wait for the connection.
        options: passed to `asyncpg.connect`.

    Raises:
        StoreUnreachable: no server answers, or not at the moment.
        StoreError: the server refuses the connection.
        PostgresTooOld: the server is older than PostgreSQL 18.
    """
    settings = {**SESSION, "application_name": application_name}
    try:
        connection: Connection = await asyncpg.connect(dsn, server_settings=settings, timeout=timeout, **options)
    except (asyncpg.PostgresError, ValueError, *TRANSIENT_ERRORS) as error:  # ValueError: the URL is malformed
        raise connection_error(dsn, error) from error
    if (too_old := version_problem(connection.get_server_version().major, dsn)) is not None:
        await connection.close()
        raise too_old
    return connection


def connection_error(dsn: str, error: BaseException) -> StoreError:
    """The `StoreError` for a failed attempt to connect."""
    kind = StoreUnreachable if is_transient(error) else StoreError
    return kind(f"cannot connect to PostgreSQL at {without_password(dsn)}: {str(error) or type(error).__name__}")


def version_problem(major: int, dsn: str) -> PostgresTooOld | None:
    """The error for a server of this major version; None if the version is supported."""
    if major >= MIN_VERSION:
        return None
    return PostgresTooOld(
        f"expected PostgreSQL {MIN_VERSION} or newer at {without_password(dsn)}, got {major}; "
        "upgrade it, or leave DATABASE_URL unset to use the embedded server"
    )
