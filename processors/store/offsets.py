"""Offsets moved by hand, outside of a writer: after a log is gone for which they were kept."""

from __future__ import annotations

from collections.abc import Mapping

from eventbus.processors.store.connect import connect
from eventbus.processors.store.queries import SQL
from eventbus.record import TopicPartition


async def rewind(dsn: str, group: str, offsets: Mapping[TopicPartition, int]) -> None:
    """Let these partitions go on from other offsets; what was counted of them stays counted.

    Raises:
        StoreError: the database cannot be used.
    """
    partitions = list(offsets)
    connection = await connect(dsn)
    try:
        await connection.execute(
            SQL["rewind"],
            group,
            [p.topic for p in partitions],
            [p.partition for p in partitions],
            [offsets[p] for p in partitions],
        )
    finally:
        await connection.close()


async def fold_runs(dsn: str, group: str, before: str) -> int:
    """Gather the counters of in-process runs that began before a time, whose logs are gone; returns how many rows.

    Args:
        group: the offsets of a run are kept for `<group>@<id of its bus>`.
        before: a UUID of version 7 of that time.

    Raises:
        StoreError: the database cannot be used.
    """
    connection = await connect(dsn)
    try:
        return len(await connection.fetch(SQL["fold_runs"], group, before))
    finally:
        await connection.close()
