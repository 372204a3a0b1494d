"""Error handling of the writer: retries with back-off for transient errors, bisection to find the rows at fault."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import asyncpg

from eventbus.processors.ingest.dedup import insert_staged
from eventbus.processors.store.connect import Connection, is_data_error, is_transient

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class ExponentialBackoff:
    """Exponentially growing delays with full jitter, so that writers do not reconnect at the same time."""

    base: float = 0.1
    """Seconds; the upper bound of the first delay."""
    cap: float = 30.0
    """Seconds; the highest upper bound."""
    random: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep

    def delay(self, attempt: int) -> float:
        """Seconds to wait after a failed attempt; attempts count from 0."""
        return self.random() * min(self.cap, self.base * 2.0 ** min(attempt, 30))


class RetryLoop:
    """Repeats operations until they succeed or fail with an error that is not transient.

    Args:
        disconnect: called after each transient error; a new connection is known to be in no transaction.
    """

    def __init__(self, disconnect: Callable[[], Awaitable[None]], backoff: ExponentialBackoff | None = None) -> None:
        self.count = 0
        """Number of retries so far."""
        self.last_error: str | None = None
        self._disconnect = disconnect
        self._backoff = backoff or ExponentialBackoff()

    async def run(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run an operation, for as many attempts as it takes.

        Raises:
            Exception: the operation's error, if it is not transient.
        """
        attempt = 0
        while True:
            try:
                return await operation()
            except Exception as error:
                if not is_transient(error):
                    raise
                await self._wait(error, attempt)
                attempt += 1

    async def _wait(self, error: Exception, attempt: int) -> None:
        delay = self._backoff.delay(attempt)
        self.count += 1
        self.last_error = f"{type(error).__name__}: {error}"
        logger.warning("database: %s; retrying in %.1f s", self.last_error, delay)
        await self._disconnect()
        await self._backoff.sleep(delay)


async def find_rejected(connection: Connection, rows: list[bytes]) -> dict[int, str]:
    """Find the rows that the database rejects, by bisection; nothing is inserted.

    Returns:
        error messages by row index.
    """
    reasons: dict[int, str] = {}
    ranges = [(0, len(rows))]
    while ranges:
        begin, end = ranges.pop()
        error = await _rejection(connection, rows[begin:end])
        if error and end - begin == 1:
            reasons[begin] = f"PostgreSQL refused it: {error}"
        elif error:
            middle = (begin + end) // 2
            ranges += [(begin, middle), (middle, end)]
    return reasons


async def _rejection(connection: Connection, rows: list[bytes]) -> asyncpg.PostgresError | None:
    """The data error that inserting these rows raises; None if there is none. The insertion is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await insert_staged(connection, rows)
    except asyncpg.PostgresError as error:
        if not is_data_error(error):
            raise
        return error
    else:
        return None
    finally:
        await transaction.rollback()
