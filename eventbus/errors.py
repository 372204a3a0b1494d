"""Every error of this package, under one root, so that one `except EventBusError` is enough."""

from __future__ import annotations


class EventBusError(Exception):
    """The event bus could not do what was asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class InvalidEvent(EventBusError):
    """The bytes or fields given are not an event.

    Args:
        field: name of the offending field, or None when the whole is at fault.
        problem: what was expected and what came.
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
    """The name or the number of partitions is not one a topic can have."""


class OffsetOutOfRange(EventBusError):
    """The offset asked for is before the log's start or after its end."""


class CorruptBatch(EventBusError):
    """The bytes given are not one whole Kafka record batch of format 2."""


class UnknownMember(EventBusError):
    """The group does not know this member: it never joined, left, or was silent too long (Kafka error 25)."""


class NoGroup(EventBusError):
    """Offsets are committed for a group: subscribe with `group=…`."""


class NotAssigned(EventBusError):
    """The partition is not assigned to this consumer."""


class NoActiveMembers(EventBusError):
    """The group has records to process, but nobody in it to do so."""


class IllegalGeneration(EventBusError):
    """The group has rebalanced since: this member's assignment is no longer valid (Kafka error 22)."""


class BufferFull(EventBusError):
    """The log reached its size limit and its policy is to refuse."""


class BrokerUnreachable(EventBusError):
    """No broker answered within the time allowed."""


class AuthenticationFailed(EventBusError):
    """The broker refused the credentials."""


class AccessDenied(EventBusError):
    """The broker does not allow these credentials to do that."""


class TopicDenied(AccessDenied):
    """The broker does not allow these credentials on this topic."""


class DeliveryFailed(EventBusError):
    """Some records were not acknowledged by the broker.

    Args:
        acknowledged: records of the same call that are in the log.
        failed: records that are not, or whose acknowledgement never came.
    """

    def __init__(self, message: str | None = None, *, acknowledged: int = 0, failed: int = 0) -> None:
        super().__init__(message or "some records were not acknowledged by the broker")
        self.acknowledged = acknowledged
        self.failed = failed


class SchemaRegistryError(EventBusError):
    """The schema registry cannot be reached, or does not take a schema."""


class InvalidSettings(EventBusError):
    """A setting has a value that cannot work."""
