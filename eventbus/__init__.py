"""The event bus you can pip install: events, the bus protocol, a bus in this process, and one on Kafka."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from eventbus.bus import EventBus, Subscription
from eventbus.errors import (
    AuthenticationFailed,
    BrokerUnreachable,
    BufferFull,
    BusClosed,
    CorruptBatch,
    DeliveryFailed,
    EventBusError,
    IllegalGeneration,
    InvalidEvent,
    InvalidTopic,
    NoActiveMembers,
    NoGroup,
    NotAssigned,
    OffsetOutOfRange,
    TopicDenied,
    UnknownMember,
    UnknownTopic,
)
from eventbus.event import Event
from eventbus.record import ConsumerRecord, ProducerRecord, RecordMetadata, TopicPartition

if TYPE_CHECKING:
    from eventbus.clock import Clock, ManualClock, SystemClock
    from eventbus.inprocess import InProcessBus
    from eventbus.kafka import KafkaBus

__all__ = [
    "AuthenticationFailed",
    "BrokerUnreachable",
    "BufferFull",
    "BusClosed",
    "Clock",
    "ConsumerRecord",
    "CorruptBatch",
    "DeliveryFailed",
    "Event",
    "EventBus",
    "EventBusError",
    "IllegalGeneration",
    "InProcessBus",
    "InvalidEvent",
    "InvalidTopic",
    "KafkaBus",
    "ManualClock",
    "NoActiveMembers",
    "NoGroup",
    "NotAssigned",
    "OffsetOutOfRange",
    "ProducerRecord",
    "RecordMetadata",
    "Subscription",
    "SystemClock",
    "TopicDenied",
    "TopicPartition",
    "UnknownMember",
    "UnknownTopic",
]

_later = {
    "Clock": "eventbus.clock",
    "InProcessBus": "eventbus.inprocess",
    "KafkaBus": "eventbus.kafka",
    "ManualClock": "eventbus.clock",
    "SystemClock": "eventbus.clock",
}
"""Imported when first asked for: asyncio and aiokafka cost more than everything else here together."""


def __getattr__(name: str) -> Any:
    if name not in _later:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_later[name]), name)
