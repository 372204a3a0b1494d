"""The one seam to asyncpg's connecting and failing: settings, the server's age, and what an error means for us."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import asyncpg

from eventbus.processors.errors import PostgresTooOld, StoreError, StoreUnreachable

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]
else:
    Connection = asyncpg.Connection

OLDEST = 18
"""Chains are folded with `RETURNING WITH (OLD …)`, which this version brought."""

SESSION = {
    "jit": "off",  # compiling costs more than these queries take
    "plan_cache_mode": "force_custom_plan",  # optional filters want a plan for the values given
    "timezone": "UTC",
}

PASSING = {"08", "40", "53", "55", "57"}
"""SQLSTATE classes that pass by themselves: connection, rollback, resources, lock not available, operator."""

DATA = {"22", "23", "54"}
"""SQLSTATE classes that a row brings about: data, integrity, program limits (a text too long for an index)."""

PASSING_ERRORS = (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError, StoreUnreachable)
"""What asyncpg raises besides when a connection dies; a kill in the middle may even surface as an internal error."""


def is_passing(error: BaseException) -> bool:
    """Whether trying again, perhaps on a new connection, can help."""
    return isinstance(error, PASSING_ERRORS) or _sqlstate_class(error) in PASSING


def is_data_error(error: BaseException) -> bool:
    """Whether some row is at fault, so that trying again cannot help."""
    return _sqlstate_class(error) in DATA


def _sqlstate_class(error: BaseException) -> str:
    return (error.sqlstate or "")[:2] if isinstance(error, asyncpg.PostgresError) else ""


async def connect(dsn: str, *, application_name: str = "eventbus", timeout: float = 10, **options: Any) -> Connection:
    """A connection to a PostgreSQL that is new enough.

    Args:
        dsn: a PostgreSQL URL.
        application_name: shown in `pg_stat_activity`.
        timeout: seconds to wait for an answer.
        options: for `asyncpg.connect`.

    Raises:
        StoreUnreachable: nobody answers, or not now.
        StoreError: the server refuses us.
        PostgresTooOld: the server is older than 18.
    """
    settings = {**SESSION, "application_name": application_name}
    try:
        connection: Connection = await asyncpg.connect(dsn, server_settings=settings, timeout=timeout, **options)
    except (asyncpg.PostgresError, ValueError, *PASSING_ERRORS) as error:  # ValueError: the address is none
        raise refused(dsn, error) from error
    if (too_old := version_problem(connection.get_server_version().major, dsn)) is not None:
        await connection.close()
        raise too_old
    return connection


def refused(dsn: str, error: BaseException) -> StoreError:
    """What a failed attempt to connect is called here."""
    kind = StoreUnreachable if is_passing(error) else StoreError
    return kind(f"no PostgreSQL for us at {without_password(dsn)}: {str(error) or type(error).__name__}")


def version_problem(major: int, dsn: str) -> PostgresTooOld | None:
    """None when a server of this major version will do."""
    if major >= OLDEST:
        return None
    return PostgresTooOld(
        f"expected PostgreSQL {OLDEST} or newer at {without_password(dsn)}, got {major}; "
        "upgrade it, or leave DATABASE_URL unset to use the embedded server"
    )


def without_password(dsn: str) -> str:
    """The address as it may be shown; of one that is malformed, rather too little."""
    return re.sub(r"([?&][^=&]*password)=[^&]*", r"\1=…", re.sub(r"(//[^:/@?]*):.*@", r"\1@", dsn))
