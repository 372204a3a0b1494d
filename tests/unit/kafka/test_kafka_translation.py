"""aiokafka's exceptions become ours, at one seam."""

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
from eventbus.kafka.errors import translate, translated


@pytest.mark.parametrize(
    ("theirs", "ours"),
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
def test_each_kind_has_its_error(theirs: Exception, ours: type[EventBusError]) -> None:
    """Every failure of aiokafka is one of our errors, says what was being done, and keeps its cause."""
    with (
        pytest.raises(EventBusError, match=r"^publish to omninode\.agent: .") as caught,
        translated("publish to omninode.agent"),
    ):
        raise theirs
    assert type(caught.value) is ours
    assert caught.value.__cause__ is theirs


def test_our_own_errors_pass_unchanged() -> None:
    """An error that is ours already is not wrapped again."""
    error = TopicDenied("no")
    assert translate(error, "publish") is error


def test_a_message_is_one_line() -> None:
    """What a broker says over several lines is shown in one."""
    assert str(translate(kafka.PolicyViolationError("not\n  allowed"), "create")) == "create: not allowed"


def test_bugs_are_not_translated() -> None:
    """A programming error stays what it is."""
    with pytest.raises(ZeroDivisionError), translated("publish"):
        raise ZeroDivisionError
