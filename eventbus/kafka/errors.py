"""Maps aiokafka's exceptions to `eventbus.errors`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka import errors as kafka

from eventbus.errors import (
    AccessDenied,
    AuthenticationFailed,
    BrokerUnreachable,
    BusClosed,
    DeliveryFailed,
    EventBusError,
    IllegalGeneration,
    InvalidTopic,
    OffsetOutOfRange,
    TopicDenied,
    UnknownTopic,
)

MAPPING: tuple[tuple[tuple[type[Exception], ...], type[EventBusError]], ...] = (
    (
        (
            kafka.SaslAuthenticationFailed,
            kafka.UnsupportedSaslMechanismError,
            kafka.IllegalSaslStateError,
            kafka.AuthenticationFailedError,
            kafka.AuthenticationMethodNotSupported,
        ),
        AuthenticationFailed,
    ),
    ((kafka.TopicAuthorizationFailedError,), TopicDenied),
    (
        (
            kafka.GroupAuthorizationFailedError,
            kafka.ClusterAuthorizationFailedError,
            kafka.TransactionalIdAuthorizationFailed,
        ),
        AccessDenied,
    ),
    ((kafka.UnknownTopicOrPartitionError,), UnknownTopic),
    ((kafka.InvalidTopicError, kafka.InvalidPartitionsError), InvalidTopic),
    ((kafka.OffsetOutOfRangeError, kafka.NoOffsetForPartitionError), OffsetOutOfRange),
    (
        (
            kafka.IllegalGenerationError,
            kafka.UnknownMemberIdError,
            kafka.RebalanceInProgressError,
            kafka.CommitFailedError,
            kafka.IllegalStateError,
        ),
        IllegalGeneration,
    ),
    ((kafka.MessageSizeTooLargeError, kafka.RecordTooLargeError, kafka.RecordListTooLargeError), DeliveryFailed),
    ((kafka.ProducerClosed, kafka.ConsumerStoppedError), BusClosed),
    (
        (
            kafka.KafkaConnectionError,
            kafka.KafkaTimeoutError,
            kafka.KafkaUnavailableError,
            kafka.NoBrokersAvailable,
            kafka.NodeNotReadyError,
            kafka.RequestTimedOutError,
            kafka.LeaderNotAvailableError,
            kafka.BrokerNotAvailableError,
            OSError,
        ),
        BrokerUnreachable,
    ),
)


def map_exception(error: Exception, action: str) -> EventBusError:
    """The mapped exception; its message begins with the action that failed. An `EventBusError` is returned as it is."""
    if isinstance(error, EventBusError):
        return error
    for kafka_errors, mapped in MAPPING:
        if isinstance(error, kafka_errors):
            return mapped(f"{action}: {reason(error)}")
    return EventBusError(f"{action}: {reason(error)}")


def reason(error: Exception) -> str:
    """The message of an aiokafka exception, in one line."""
    message = ", ".join(argument for argument in error.args if isinstance(argument, str) and argument)
    description = getattr(error, "description", None)
    return " ".join((message or description or type(error).__name__).split())


@contextmanager
def map_exceptions(action: str) -> Iterator[None]:
    """Raises mapped exceptions in place of aiokafka's, with those as their cause."""
    try:
        yield
    except (kafka.KafkaError, kafka.ConsumerStoppedError, kafka.IllegalOperation, OSError) as error:
        raise map_exception(error, action) from error
