"""Dead letters: records that cannot be stored as events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from eventbus.processors.store.connect import Connection
from eventbus.processors.store.offsets import columns
from eventbus.processors.store.queries import SQL
from eventbus.record import TopicPartition


class DeadLetter(NamedTuple):
    """A record that cannot be stored as an event, and why."""

    partition: TopicPartition
    offset: int
    value: bytes | None
    error: str


class StoredDeadLetter(NamedTuple):
    """A row of the table `dead_letter`."""

    group: str
    topic: str
    partition: int
    offset: int
    value: bytes | None
    error: str
    at: datetime


async def insert_dead_letters(connection: Connection, group: str, letters: Sequence[DeadLetter]) -> None:
    """Insert dead letters; those already stored for the same group, partition and offset are kept."""
    await connection.execute(
        SQL["insert_dead_letters"],
        group,
        *columns(letter.partition for letter in letters),
        [letter.offset for letter in letters],
        [letter.value for letter in letters],
        [letter.error for letter in letters],
    )
