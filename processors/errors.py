"""Every error of this package, under one root, so that one `except ProcessorError` is enough."""

from __future__ import annotations

from collections.abc import Iterable

from eventbus.record import TopicPartition


class ProcessorError(Exception):
    """The events could not be processed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class UnsupportedFaust(ProcessorError):
    """The installed Faust is not the release whose internals are relied upon."""


class Stalled(ProcessorError):
    """Events wait, but none was stored for too long."""


class StoreError(ProcessorError):
    """The database could not do what was asked."""


class StoreUnreachable(StoreError, ConnectionError):
    """No PostgreSQL answers at the address given."""


class PostgresTooOld(StoreError):
    """PostgreSQL 18 or newer is needed."""


class SchemaTooNew(StoreError):
    """The database was migrated by a newer release of this program."""


class NoDatabase(StoreError):
    """There is no database yet: nothing has ever been stored here."""


class EmbeddedServerFailed(StoreError):
    """The embedded PostgreSQL could not be started."""


class Fenced(ProcessorError):
    """Another writer moved these offsets: what was not yet written of them was dropped; assign them again.

    Args:
        partitions: those whose unwritten events were dropped.
    """

    def __init__(self, partitions: Iterable[TopicPartition]) -> None:
        self.partitions = frozenset(partitions)
        shown = ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(self.partitions))
        super().__init__(f"the offsets of {shown} were moved by another writer; assign them again")


class InvalidCursor(StoreError, ValueError):
    """The cursor is not one that a page of events gave."""
