"""The exceptions of `eventbus.processors`; all derive from `ProcessorError`."""

from __future__ import annotations

from collections.abc import Iterable

from eventbus.record import TopicPartition


class ProcessorError(Exception):
    """The events could not be processed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class UnsupportedFaust(ProcessorError):
    """The installed release of Faust is not the one whose internals this package overrides."""


class Stalled(ProcessorError):
    """Events are waiting, but none has been stored for too long."""


class StoreError(ProcessorError):
    """The database could not do what was asked."""


class StoreUnreachable(StoreError, ConnectionError):
    """No PostgreSQL server answers at the given address."""


class PostgresTooOld(StoreError):
    """PostgreSQL 18 or newer is required."""


class SchemaTooNew(StoreError):
    """The database was migrated by a newer release of this program."""


class NoDatabase(StoreError):
    """There is no database yet: nothing has ever been stored here."""


class EmbeddedServerFailed(StoreError):
    """The embedded PostgreSQL could not be started."""


class Fenced(ProcessorError):
    """Another writer has committed these offsets: the unwritten events of the partitions were dropped.

    Assign the partitions again to continue.

    Args:
        partitions: the partitions whose unwritten events were dropped.
    """

    def __init__(self, partitions: Iterable[TopicPartition]) -> None:
        self.partitions = frozenset(partitions)
        names = ", ".join(f"{topic}[{partition}]" for topic, partition in sorted(self.partitions))
        super().__init__(f"the offsets of {names} were moved by another writer; assign them again")


class InvalidCursor(StoreError, ValueError):
    """The cursor is not the `next_cursor` of a page of events."""
