"""Events, the bus protocol, a bus in this process and one on Kafka, and a generator of event chains."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventbus.bus import EventBus, Subscription
    from eventbus.catalog import Catalog
    from eventbus.chains import ChainGenerator
    from eventbus.clock import Clock, ManualClock, SystemClock
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
    from eventbus.inprocess import InProcessBus
    from eventbus.kafka import KafkaBus
    from eventbus.record import ConsumerRecord, ProducerRecord, RecordMetadata, TopicPartition

__all__ = [
    "AuthenticationFailed",
    "BrokerUnreachable",
    "BufferFull",
    "BusClosed",
    "Catalog",
    "ChainGenerator",
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

_MODULES = {
    "Catalog": "eventbus.catalog",
    "ChainGenerator": "eventbus.chains",
    "Clock": "eventbus.clock",
    "ConsumerRecord": "eventbus.record",
    "Event": "eventbus.event",
    "EventBus": "eventbus.bus",
    "InProcessBus": "eventbus.inprocess",
    "KafkaBus": "eventbus.kafka",
    "ManualClock": "eventbus.clock",
    "ProducerRecord": "eventbus.record",
    "RecordMetadata": "eventbus.record",
    "Subscription": "eventbus.bus",
    "SystemClock": "eventbus.clock",
    "TopicPartition": "eventbus.record",
}
"""The module of each public name; the default is `eventbus.errors`. Names are imported at first access: importing any
module of the package imports this one, and asyncio, aiokafka and NumPy are slow to import."""


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES.get(name, "eventbus.errors")), name)
    return value
