"""The one seam where aiokafka's exceptions become ours."""

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

KINDS: tuple[tuple[tuple[type[Exception], ...], type[EventBusError]], ...] = (
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


def translate(error: Exception, doing: str) -> EventBusError:
    """Our error for one of aiokafka's, saying what was being done; one of ours stays what it is."""
    if isinstance(error, EventBusError):
        return error
    for theirs, ours in KINDS:
        if isinstance(error, theirs):
            return ours(f"{doing}: {reason(error)}")
    return EventBusError(f"{doing}: {reason(error)}")


def reason(error: Exception) -> str:
    """What the broker said, in one line."""
    words = ", ".join(word for word in error.args if isinstance(word, str) and word)
    description = getattr(error, "description", None)
    return " ".join((words or description or type(error).__name__).split())


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise ours `from` theirs for anything that goes wrong inside."""
    try:
        yield
    except (kafka.KafkaError, kafka.ConsumerStoppedError, kafka.IllegalOperation, OSError) as error:
        raise translate(error, doing) from error
