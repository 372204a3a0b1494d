"""aiokafka's exceptions are mapped to those of `eventbus.errors`."""

from __future__ import annotations

import pytest
from aiokafka import errors as kafka

from eventbus.errors import (
    AccessDenied,
    AuthenticationFailed,
    BrokerUnreachable,
    BusClosed,
    DeliveryFailed,
    EventBusError,
    IllegalGeneration,
    TopicDenied,
    UnknownTopic,
)
from eventbus.kafka.errors import map_exception, map_exceptions


@pytest.mark.parametrize(
    ("kafka_error", "mapped"),
    [
        (kafka.SaslAuthenticationFailed("wrong password"), AuthenticationFailed),
        (kafka.TopicAuthorizationFailedError("omninode.agent"), TopicDenied),
        (kafka.GroupAuthorizationFailedError("group"), AccessDenied),
        (kafka.ClusterAuthorizationFailedError(), AccessDenied),
        (kafka.UnknownTopicOrPartitionError(), UnknownTopic),
        (kafka.CommitFailedError(), IllegalGeneration),
        (kafka.MessageSizeTooLargeError(), DeliveryFailed),
        (kafka.ProducerClosed(), BusClosed),
        (kafka.ConsumerStoppedError(), BusClosed),
        (kafka.KafkaConnectionError("gone"), BrokerUnreachable),
        (kafka.RequestTimedOutError(), BrokerUnreachable),
        (ConnectionRefusedError(111, "refused"), BrokerUnreachable),
        (kafka.PolicyViolationError("no"), EventBusError),
    ],
)
def test_each_exception_is_mapped(kafka_error: Exception, mapped: type[EventBusError]) -> None:
    """The mapped exception names the action that failed and keeps its cause."""
    with (
        pytest.raises(EventBusError, match=r"^publish to omninode\.agent: .") as caught,
        map_exceptions("publish to omninode.agent"),
    ):
        raise kafka_error
    assert type(caught.value) is mapped
    assert caught.value.__cause__ is kafka_error


def test_an_event_bus_error_is_not_mapped() -> None:
    """It is returned as it is."""
    error = TopicDenied("no")
    assert map_exception(error, "publish") is error


def test_a_message_is_one_line() -> None:
    """A broker's message of several lines is joined into one."""
    assert str(map_exception(kafka.PolicyViolationError("not\n  allowed"), "create")) == "create: not allowed"


def test_other_exceptions_are_not_mapped() -> None:
    """A programming error is raised as it is."""
    with pytest.raises(ZeroDivisionError), map_exceptions("publish"):
        raise ZeroDivisionError
