"""Writes batches to PostgreSQL, each in one transaction with the offsets of its records: exactly once, whatever fails.

The transaction updates the offsets by compare-and-swap, so that a writer that lost its partitions writes nothing. It
copies the events, which a trigger folds into chains and counts, and inserts the dead letters. Transient errors are
retried (`retry`); an error caused by a row makes that row a dead letter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import asyncpg

from eventbus.processors.errors import Fenced
from eventbus.processors.ingest.batch import RowBatch
from eventbus.processors.ingest.dedup import insert_deduplicated
from eventbus.processors.ingest.retry import ExponentialBackoff, RetryLoop, find_rejected
from eventbus.processors.ingest.rows import copy_rows
from eventbus.processors.store.connect import Connection, connect, is_data_error
from eventbus.processors.store.dead_letters import insert_dead_letters
from eventbus.processors.store.definitions import ChainDefinitions, sync_catalog
from eventbus.processors.store.migrate import migrate
from eventbus.processors.store.offsets import columns, fetch_offsets, initialize_offsets
from eventbus.processors.store.queries import SQL
from eventbus.record import TopicPartition

GroupId = str | Callable[[], str]

DEDUP_BATCHES = 20
"""Batches written in deduplication mode after the database found a duplicate that the `DedupCache` had not."""


class Written(NamedTuple):
    """Counts of the records of a batch, by what became of them."""

    new: int
    duplicates: int
    dead: int


class Writer:
    """Writes the batches of one consumer group over one connection.

    Args:
        dsn: a PostgreSQL URL.
        group: the consumer group of the offsets; a function is called at each assignment.
        definitions: of the catalog, stored when the writer opens.
        timeout: seconds that one statement may take before the connection counts as lost.
    """

    def __init__(
        self,
        dsn: str,
        group: GroupId,
        definitions: ChainDefinitions,
        *,
        backoff: ExponentialBackoff | None = None,
        timeout: float = 60.0,
    ) -> None:
        self.next_offsets: dict[TopicPartition, int] = {}
        """The next offset of each assigned partition, as committed."""
        self.retry = RetryLoop(self.close, backoff)
        self._dsn = dsn
        self._current_group = group if callable(group) else lambda: group
        self._group = self._current_group()
        self._definitions = definitions
        self._timeout = timeout
        self._connection: Connection | None = None
        self._dedup_batches = 0
        self._in_doubt: Written | None = None  # the batch of a COMMIT that was sent and not yet answered

    async def open(self) -> None:
        """Connect, migrate the schema, and store the catalog's definitions.

        Raises:
            StoreError: the database cannot be used.
        """
        connection = await connect(self._dsn)
        await connection.close()  # the first failure to connect is raised at once; later ones are retried
        try:
            await self.retry.run(self._sync_catalog)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Disconnect; an open transaction is rolled back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def assign(self, first_offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Write exactly these partitions from now on.

        Args:
            first_offsets: where to begin partitions that the group has not read yet.

        Returns:
            the next offset of each partition.
        """
        self._group = self._current_group()
        self.next_offsets = await self.retry.run(lambda: self._read_offsets(first_offsets))
        return dict(self.next_offsets)

    async def write(self, batch: RowBatch) -> Written:
        """Write a batch; returns when it is committed, however long the database is unreachable.

        Raises:
            Fenced: another writer has committed the offsets; nothing of the batch was written.
            asyncpg.PostgresError: an error that is neither transient nor caused by a row.
        """
        return await self.retry.run(lambda: self._write(batch))

    async def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = await connect(
                self._dsn, application_name="eventbus-writer", command_timeout=self._timeout
            )
            await migrate(self._connection)
            await self._connection.execute(SQL["stage"])
        return self._connection

    async def _sync_catalog(self) -> None:
        await sync_catalog(await self._connect(), self._definitions)

    async def _read_offsets(self, first_offsets: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        self._in_doubt = None
        connection = await self._connect()
        await initialize_offsets(connection, self._group, first_offsets)
        return await fetch_offsets(connection, self._group, first_offsets)

    async def _write(self, batch: RowBatch) -> Written:
        next_offsets = {partition: progress.next_offset for partition, progress in batch.progress.items()}
        if self._in_doubt is None or await self._stored_offsets(next_offsets) != next_offsets:
            self._in_doubt = await self._write_valid_rows(batch)
        written, self._in_doubt = self._in_doubt, None
        self.next_offsets |= next_offsets
        return written

    async def _stored_offsets(self, partitions: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        return await fetch_offsets(await self._connect(), self._group, partitions)

    async def _write_valid_rows(self, batch: RowBatch) -> Written:
        while True:
            try:
                return await self._transaction(batch)
            except asyncpg.PostgresError as error:
                if isinstance(error, asyncpg.UniqueViolationError) and not self._dedup_batches:
                    self._dedup_batches = DEDUP_BATCHES
                elif not is_data_error(error):
                    raise
                elif reasons := await find_rejected(await self._connect(), batch.rows):
                    batch.dead_letter(reasons)
                else:
                    raise

    async def _transaction(self, batch: RowBatch) -> Written:
        connection = await self._connect()
        async with connection.transaction():
            await self._commit_offsets(connection, batch)
            duplicates = 0
            if batch.rows and self._dedup_batches:
                self._dedup_batches -= 1
                duplicates = await insert_deduplicated(connection, self._group, batch)
            elif batch.rows:
                await copy_rows(connection, batch.rows, "events", schema="eventbus")
            if batch.dead_letters:
                await insert_dead_letters(connection, self._group, batch.dead_letters)
            self._in_doubt = written = _written(batch, duplicates)
        return written

    async def _commit_offsets(self, connection: Connection, batch: RowBatch) -> None:
        partitions = sorted(batch.progress)
        progress = [batch.progress[partition] for partition in partitions]
        status = await connection.execute(
            SQL["commit_offsets"],
            self._group,
            *columns(partitions),
            [self.next_offsets[partition] for partition in partitions],
            [p.next_offset for p in progress],
            [p.read for p in progress],
            [p.new for p in progress],
            [p.duplicates for p in progress],
            [p.dead for p in progress],
        )
        if status != f"UPDATE {len(partitions)}":
            raise Fenced(partitions)


def _written(batch: RowBatch, duplicates: int) -> Written:
    progress = batch.progress.values()
    return Written(
        new=sum(p.new for p in progress) - duplicates,
        duplicates=sum(p.duplicates for p in progress) + duplicates,
        dead=sum(p.dead for p in progress),
    )
