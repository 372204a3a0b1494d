"""The offsets of consumer groups, and the counts of the records read up to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from eventbus.processors.store.connect import Connection, connect
from eventbus.processors.store.queries import SQL
from eventbus.record import TopicPartition


class Conservation(NamedTuple):
    """Counts of the records that a consumer group read from a partition, by what became of them."""

    group: str
    topic: str
    partition: int
    first_offset: int
    next_offset: int
    read: int
    new: int
    duplicates: int
    dead: int

    @property
    def skipped(self) -> int:
        """Offsets without a record: removed by compaction, or transaction markers."""
        return self.next_offset - self.first_offset - self.read

    @property
    def holds(self) -> bool:
        """Whether the counts add up: `read == new + duplicates + dead`, from no more offsets than were passed.

        Records that the log lost before they were read (to retention, or with a deleted topic) do not show here.
        """
        return self.read == self.new + self.duplicates + self.dead and self.skipped >= 0


async def initialize_offsets(connection: Connection, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Insert the first offsets of a group; partitions that have one keep theirs."""
    ordered = dict(sorted(offsets.items()))  # the same order in every process, so that none deadlock
    await connection.execute(SQL["initialize_offsets"], group, *columns(ordered), list(ordered.values()))


async def fetch_offsets(
    connection: Connection, group: str, partitions: Iterable[TopicPartition]
) -> dict[TopicPartition, int]:
    """The next offset of each partition."""
    rows = await connection.fetch(SQL["fetch_offsets"], group, *columns(partitions))
    return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}


async def reset_offsets(dsn: str, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Set the next offsets of partitions, outside of a writer; the counts stay as they are.

    Raises:
        StoreError: the database cannot be used.
    """
    connection = await connect(dsn)
    try:
        await connection.execute(SQL["reset_offsets"], group, *columns(offsets), list(offsets.values()))
    finally:
        await connection.close()


async def archive_runs(dsn: str, group: str, before: str) -> int:
    """Merge the offsets of in-process runs that began before a time; returns the number of rows they are merged into.

    Args:
        group: the offsets of a run are stored for the group `<group>@<id of its bus>`.
        before: a UUID of version 7 with that time.

    Raises:
        StoreError: the database cannot be used.
    """
    connection = await connect(dsn)
    try:
        return len(await connection.fetch(SQL["archive_runs"], group, before))
    finally:
        await connection.close()


def columns(partitions: Iterable[TopicPartition]) -> tuple[list[str], list[int]]:
    """Topics and partition numbers, as the parallel arrays that the statements take."""
    ordered = list(partitions)
    return [p.topic for p in ordered], [p.partition for p in ordered]
