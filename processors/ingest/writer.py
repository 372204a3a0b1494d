"""Batches into PostgreSQL, each in one transaction with the offsets it comes from: exactly once, whatever fails.

The order inside the transaction: move the offsets, if they are still where this writer left them (so a writer that
lost its partitions can do nothing); copy the events, whose trigger folds chains and statistics; dead letters; commit.
What fails for a reason that passes is tried again; what fails for a row is tried without that row.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import asyncpg

from eventbus.processors.errors import Fenced
from eventbus.processors.ingest.batch import Batch
from eventbus.processors.ingest.rows import COLUMNS, COPY_HEADER, COPY_TRAILER
from eventbus.processors.store.connect import Connection, connect, is_data_error, is_passing
from eventbus.processors.store.definitions import Facts
from eventbus.processors.store.migrate import migrate
from eventbus.processors.store.queries import SQL
from eventbus.record import TopicPartition

logger = logging.getLogger(__name__)

T = TypeVar("T")

Group = str | Callable[[], str]

CAREFUL = 20
"""Batches that look for duplicates first, after one was found that the recent ids did not know."""

LEARN_TIMEOUT = 3600.0
"""Seconds: when the catalog has changed its mind, everything stored is counted again, and giving up wins nothing."""


class Written(NamedTuple):
    """What became of a batch."""

    new: int
    duplicates: int
    dead: int


@dataclass(frozen=True)
class Backoff:
    """How long to wait before trying again: exponential, with full jitter, so that writers do not return together."""

    base: float = 0.1
    """Seconds."""
    cap: float = 30.0
    random: Callable[[], float] = random.random
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep

    def delay(self, attempt: int) -> float:
        """Seconds to wait after so many failures (from 0)."""
        return self.random() * min(self.cap, self.base * 2.0 ** min(attempt, 30))


class Writer:
    """One connection that writes the batches of one consumer group.

    Args:
        dsn: a PostgreSQL URL.
        group: whose offsets to keep; a function is asked anew at each assignment.
        facts: of the catalog; the database takes them over when the writer opens.
        timeout: seconds that one statement of a batch may take before the connection counts as lost.
    """

    def __init__(
        self, dsn: str, group: Group, facts: Facts, *, backoff: Backoff | None = None, timeout: float = 60.0
    ) -> None:
        self.next: dict[TopicPartition, int] = {}
        """The next offset of each assigned partition, as committed."""
        self.retries = 0
        self.last_error: str | None = None
        self._dsn = dsn
        self._group_now = group if callable(group) else lambda: group
        self._group = self._group_now()
        self._facts = facts
        self._backoff = backoff or Backoff()
        self._timeout = timeout
        self._connection: Connection | None = None
        self._careful = 0
        self._in_doubt: Written | None = None  # a COMMIT was sent, and nobody knows yet what came of it

    async def open(self) -> None:
        """Connect, bring the schema up to date, and take over the catalog's facts.

        Raises:
            StoreError: the database cannot be used.
        """
        first = await connect(self._dsn)
        await first.close()  # who cannot connect at all is told at once; from here on we are patient
        try:
            await self._persist(self._learn)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect; a transaction that is under way does not happen."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def assign(self, first: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Write these partitions, and no others, from now on.

        Args:
            first: for each, the offset to begin at if the group never read it.

        Returns:
            the next offset of each.
        """
        self._group = self._group_now()
        self.next = await self._persist(lambda: self._read_offsets(first))
        return dict(self.next)

    async def write(self, batch: Batch) -> Written:
        """Write a batch; returns when it is committed, however long the database is away.

        Raises:
            Fenced: another writer moved the offsets; nothing of the batch was written.
            asyncpg.PostgresError: neither passing nor the fault of a row, so that a person has to look.
        """
        return await self._persist(lambda: self._write(batch))

    async def _persist(self, work: Callable[[], Awaitable[T]]) -> T:
        attempt = 0
        while True:
            try:
                return await work()
            except Exception as error:
                if not is_passing(error):
                    raise
                await self._recover(error, attempt)
                attempt += 1

    async def _recover(self, error: Exception, attempt: int) -> None:
        delay = self._backoff.delay(attempt)
        self.retries += 1
        self.last_error = f"{type(error).__name__}: {error}"
        logger.warning("database: %s; trying again in %.1f s", self.last_error, delay)
        await self.close()  # even where it would still do: a new one is known to be in no transaction
        await self._backoff.sleep(delay)

    async def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = await connect(
                self._dsn, application_name="eventbus-writer", command_timeout=self._timeout
            )
            await migrate(self._connection)
            await self._connection.execute(SQL["stage"])
        return self._connection

    async def _learn(self) -> None:
        connection = await self._connected()
        types, paths, caused = self._facts.types, self._facts.paths, self._facts.caused
        await connection.execute(
            SQL["learn"],
            list(types),
            [fact.chain for fact in types.values()],
            [fact.role for fact in types.values()],
            [fact.bit for fact in types.values()],
            [fact.causing for fact in types.values()],
            [chain for chain, masks in paths.items() for _ in masks],
            [mask for masks in paths.values() for mask in masks],
            list(caused),
            list(caused.values()),
            timeout=LEARN_TIMEOUT,
        )

    async def _read_offsets(self, first: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        self._in_doubt = None
        connection, partitions = await self._connected(), sorted(first)
        topics, numbers = _columns(partitions)
        await connection.execute(SQL["first_offsets"], self._group, topics, numbers, [first[p] for p in partitions])
        return await self._committed(partitions)

    async def _committed(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        connection = await self._connected()
        rows = await connection.fetch(SQL["next_offsets"], self._group, *_columns(partitions))
        return {TopicPartition(topic, part): offset for topic, part, offset in rows}

    async def _write(self, batch: Batch) -> Written:
        ends = {partition: span.next for partition, span in batch.spans.items()}
        if self._in_doubt is None or await self._committed(ends) != ends:
            self._in_doubt = await self._transact(batch)
        written, self._in_doubt = self._in_doubt, None
        self.next |= ends
        return written

    async def _transact(self, batch: Batch) -> Written:
        while True:
            try:
                return await self._transaction(batch)
            except asyncpg.PostgresError as error:
                if isinstance(error, asyncpg.UniqueViolationError) and not self._careful:
                    self._careful = CAREFUL
                elif is_data_error(error):
                    await self._bury(batch, error)
                else:
                    raise

    async def _transaction(self, batch: Batch) -> Written:
        connection = await self._connected()
        async with connection.transaction():
            await self._move_offsets(connection, batch)
            twice = 0
            if batch.rows and self._careful:
                self._careful -= 1
                twice = await self._insert_carefully(connection, batch)
            elif batch.rows:
                await _copy(connection, batch.rows, "events", "eventbus")
            if batch.dead:
                await _insert_dead(connection, self._group, batch)
            self._in_doubt = written = _outcome(batch, twice)
        return written

    async def _move_offsets(self, connection: Connection, batch: Batch) -> None:
        partitions = sorted(batch.spans)
        spans = [batch.spans[p] for p in partitions]
        moved = await connection.execute(
            SQL["move_offsets"],
            self._group,
            *_columns(partitions),
            [self.next[p] for p in partitions],
            [s.next for s in spans],
            [s.read for s in spans],
            [s.new for s in spans],
            [s.duplicates for s in spans],
            [s.dead for s in spans],
        )
        if moved != f"UPDATE {len(partitions)}":
            raise Fenced(partitions)

    async def _insert_carefully(self, connection: Connection, batch: Batch) -> int:
        """Insert what is not stored yet, and count the rest as duplicates, each where it was read."""
        await _copy(connection, batch.rows, "stage", "pg_temp")
        new = {row["event_id"].bytes for row in await connection.fetch(SQL["insert_staged"])}
        twice: Counter[TopicPartition] = Counter()
        for partition, event_id in batch.owners():
            if event_id in new:
                new.remove(event_id)  # its first row; more of the same batch are duplicates
            else:
                twice[partition] += 1
        if twice:
            await connection.execute(SQL["count_duplicates"], self._group, *_columns(twice), list(twice.values()))
        return twice.total()

    async def _bury(self, batch: Batch, error: asyncpg.PostgresError) -> None:
        """Find the rows that the database refuses, by halves, and make dead letters of them."""
        connection = await self._connected()
        reasons: dict[int, str] = {}
        parts = [(0, len(batch.rows))]
        while parts:
            begin, end = parts.pop()
            problem = await _refusal(connection, batch.rows[begin:end])
            if problem and end - begin == 1:
                reasons[begin] = f"PostgreSQL refused it: {problem}"
            elif problem:
                middle = (begin + end) // 2
                parts += [(begin, middle), (middle, end)]
        if not reasons:
            raise error
        batch.bury(reasons)


async def _copy(connection: Connection, rows: list[bytes], table: str, schema: str) -> None:
    # a memoryview: asyncpg takes bytes for a file name, and with an iterable it waits for ever if the connection dies
    source: Any = memoryview(b"".join((COPY_HEADER, *rows, COPY_TRAILER)))
    await connection.copy_to_table(table, schema_name=schema, source=source, columns=COLUMNS, format="binary")


async def _refusal(connection: Connection, rows: list[bytes]) -> asyncpg.PostgresError | None:
    """Why the database does not take these rows; they are not kept."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await _copy(connection, rows, "stage", "pg_temp")
        await connection.execute(SQL["insert_staged"])
    except asyncpg.PostgresError as error:
        if not is_data_error(error):
            raise
        return error
    else:
        return None
    finally:
        await transaction.rollback()


async def _insert_dead(connection: Connection, group: str, batch: Batch) -> None:
    dead = batch.dead
    await connection.execute(
        SQL["dead_letters"],
        group,
        *_columns(letter.partition for letter in dead),
        [letter.offset for letter in dead],
        [letter.value for letter in dead],
        [letter.error for letter in dead],
    )


def _outcome(batch: Batch, twice: int) -> Written:
    spans = batch.spans.values()
    return Written(
        new=sum(span.new for span in spans) - twice,
        duplicates=sum(span.duplicates for span in spans) + twice,
        dead=sum(span.dead for span in spans),
    )


def _columns(partitions: Iterable[TopicPartition]) -> tuple[list[str], list[int]]:
    listed = list(partitions)
    return [p.topic for p in listed], [p.partition for p in listed]
