"""The exceptions of the bus, all derived from `EventBusError`."""

from __future__ import annotations


class EventBusError(Exception):
    """An operation of the event bus failed."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class InvalidEvent(EventBusError):
    """The bytes or fields given are not an event.

    Args:
        field: name of the invalid field; None if the value as a whole is invalid.
        problem: what was expected, and what was given.
    """

    def __init__(self, problem: str, *, field: str | None = None) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


class BusClosed(EventBusError):
    """The bus is closed: publish and subscribe inside `async with bus`."""


class UnknownTopic(EventBusError):
    """The topic or partition does not exist."""


class InvalidTopic(EventBusError):
    """The name or the number of partitions is not valid for a topic."""


class OffsetOutOfRange(EventBusError):
    """The requested offset is before the start or after the end of the log."""


class CorruptBatch(EventBusError):
    """The bytes given are not one whole Kafka record batch of format 2."""


class UnknownMember(EventBusError):
    """The member never joined the group, has left it, or was evicted (Kafka error 25)."""


class NoGroup(EventBusError):
    """Offsets are committed for a group: subscribe with `group=…`."""


class NotAssigned(EventBusError):
    """The partition is not assigned to this consumer."""


class NoActiveMembers(EventBusError):
    """The group has records to process, but no members."""


class IllegalGeneration(EventBusError):
    """The group has rebalanced since: this member's assignment is no longer valid (Kafka error 22)."""


class BufferFull(EventBusError):
    """The partition is full of uncommitted records, and publishing may not wait (any longer) for room."""


class BrokerUnreachable(EventBusError):
    """No broker answered within the timeout."""


class AuthenticationFailed(EventBusError):
    """The broker refused the credentials."""


class AccessDenied(EventBusError):
    """The credentials do not allow this operation."""


class TopicDenied(AccessDenied):
    """The credentials do not allow this operation on the topic."""


class DeliveryFailed(EventBusError):
    """Some records were not acknowledged by the broker.

    Args:
        acknowledged: number of records of the call that are in the log.
        failed: number of records that were refused or not acknowledged in time.
    """

    def __init__(self, message: str | None = None, *, acknowledged: int = 0, failed: int = 0) -> None:
        super().__init__(message or "some records were not acknowledged by the broker")
        self.acknowledged = acknowledged
        self.failed = failed


class SchemaRegistryError(EventBusError):
    """The schema registry cannot be reached, or refuses a schema."""


class InvalidSettings(EventBusError):
    """A setting has an invalid value."""
