"""Drops duplicates: a cache finds most before they are sent to the database, and the database finds the others."""

from __future__ import annotations

from collections import Counter

from eventbus.processors.ingest.batch import RowBatch
from eventbus.processors.ingest.rows import copy_rows
from eventbus.processors.store.connect import Connection
from eventbus.processors.store.offsets import columns
from eventbus.processors.store.queries import SQL
from eventbus.record import TopicPartition

CACHE_SIZE = 100_000
"""Event ids in one generation of a `DedupCache`."""


class DedupCache:
    """The most recent event ids: between `size` and twice as many, in two generations.

    An id is added when its row is put into a batch. If batches are dropped before they are written, drop the cache too,
    or their events would count as duplicates when they are read again.
    """

    def __init__(self, size: int = CACHE_SIZE) -> None:
        self._size = size
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()

    def check_and_add(self, event_id: bytes) -> bool:
        """Whether the cache holds the id; adds it if not."""
        if event_id in self._young or event_id in self._old:
            return True
        if len(self._young) >= self._size:
            self._old, self._young = self._young, set()
        self._young.add(event_id)
        return False


async def insert_deduplicated(connection: Connection, group: str, batch: RowBatch) -> int:
    """Insert the rows that are not stored yet, and count the others as duplicates of their partitions.

    Returns:
        the number of duplicates.
    """
    inserted = await insert_staged(connection, batch.rows)
    duplicates: Counter[TopicPartition] = Counter()
    for partition, event_id in batch.event_ids():
        if event_id in inserted:
            inserted.remove(event_id)  # further rows with the same id are duplicates
        else:
            duplicates[partition] += 1
    if duplicates:
        await connection.execute(SQL["count_duplicates"], group, *columns(duplicates), list(duplicates.values()))
    return duplicates.total()


async def insert_staged(connection: Connection, rows: list[bytes]) -> set[bytes]:
    """Insert the rows that are not stored yet, through the table `stage`; returns their event ids."""
    await copy_rows(connection, rows, "stage", schema="pg_temp")
    return {row["event_id"].bytes for row in await connection.fetch(SQL["insert_staged"])}
