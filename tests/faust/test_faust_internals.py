"""The internals of Faust and aiokafka that `faust_app` depends on: a new version that changes them fails here."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import faust
import faust.streams
import faust.transport.conductor
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from faust.app.base import App, BootStrategy
from faust.exceptions import ImproperlyConfigured
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer, ConsumerThread
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from mode import Service

from eventbus import InProcessBus
from eventbus.processors.errors import UnsupportedFaust
from eventbus.processors.faust_app.app import EventApp
from eventbus.processors.faust_app.consumer import FAUST_VERSION, require_faust
from eventbus.processors.processor import Processor
from eventbus.record import ProducerRecord
from tests.faust.world import CATALOG

PARAMETERS: dict[Callable[..., Any], str] = {
    # overridden
    Consumer.getmany: "timeout",
    Consumer.force_commit: "topics start_new_transaction",
    Consumer.seek_to_committed: "",
    Consumer.verify_all_partitions_active: "",
    Consumer._getmany: "active_partitions timeout",
    Consumer._commit: "offsets",
    Consumer._to_message: "tp record",
    ConsumerThread.on_partitions_revoked: "revoked",
    AIOKafkaConsumerThread._fetch_records: "consumer active_partitions timeout max_records",
    TableManager.on_start: "",
    App.on_start: "",
    App.on_stop: "",
    # called
    Consumer.perform_seek: "",
    Consumer._wait_next_records: "timeout",
    Consumer.on_partitions_assigned: "assigned generation_id",
    Consumer.on_partitions_revoked: "revoked",
    AIOKafkaConsumerThread.call_thread: "fun args kwargs",
    TableManager._update_channels: "",
    App.on_rebalance_start: "",
    Service.wait: "coros timeout",
    Service.crash: "reason",
}

SOURCES: dict[Callable[..., Any], str] = {
    App._on_partitions_revoked: "d5c895bbe57d",
    App._on_partitions_assigned: "de932b7927db",
    App._stop_consumer: "55854a5de12c",
    BootStrategy._should_enable_web: "2b6c66a4448a",
    Recovery._resume_streams: "d986a6710c1a",
    Consumer._drain_messages: "44a2500309e8",
    Consumer._wait_next_records: "6218e1969a63",
    Consumer.perform_seek: "0e8c130ff4b0",
    Consumer.commit: "a354437baaa0",
    Consumer.ack: "5fcf41cf4515",
    AIOKafkaConsumerThread._fetch_records: "39a2c6c79fc1",
    FetchResult.getall: "3e717e30de50",
    Fetcher.fetched_records: "be4348896b9b",
    AIOKafkaConsumer.seek_to_committed: "f6cd85c8b70a",
    TableManager.on_start: "365dd25fbc0e",
}
"""Digests of the code that calls the overrides or is called by them: review the overrides when one changes."""


@pytest.mark.parametrize("function", PARAMETERS, ids=lambda function: function.__qualname__)
def test_signature(function: Callable[..., Any]) -> None:
    """Functions that are overridden or called have the expected parameters."""
    assert " ".join(inspect.signature(function).parameters).removeprefix("self").strip() == PARAMETERS[function]


@pytest.mark.parametrize("function", SOURCES, ids=lambda function: function.__qualname__)
def test_source(function: Callable[..., Any]) -> None:
    """The code around the overrides is unchanged."""
    assert sha256(inspect.getsource(function).encode()).hexdigest()[:12] == SOURCES[function]


def test_other_releases_are_refused() -> None:
    """Another release of Faust is refused, with both versions in the message."""
    require_faust(FAUST_VERSION)
    with pytest.raises(UnsupportedFaust, match=r"expected faust-streaming 0\.15\.3.*got 0\.15\.4"):
        require_faust("0.15.4")
    assert faust.__version__ == FAUST_VERSION


def test_compiled_parts_are_there() -> None:
    """The compiled stream iterator is installed: the Python one acknowledges skipped events."""
    assert vars(faust.streams)["_CStreamIterator"] is not None
    assert vars(faust.transport.conductor)["ConductorHandler"] is not None


@pytest.fixture
def app(postgres_dsn: str) -> EventApp:
    return Processor(postgres_dsn, catalog=CATALOG, bus=InProcessBus(), topics=["stored"]).app


def test_no_web_server(app: EventApp) -> None:
    """Faust's web server stays off, even if its worker command enables it."""
    app.conf.web_enabled = True
    assert not app.boot_strategy._should_enable_web()


def test_stored_topics_are_not_acknowledged_by_faust(app: EventApp) -> None:
    """Faust does not track offsets of stored topics, nor in the clone of a topic that an agent uses."""
    topic: Any = app.topic("stored")
    other: Any = app.topic("other")
    assert not topic.acks
    assert not topic.clone(is_iterator=False).acks
    assert other.acks


@pytest.mark.parametrize("options", [{"value_type": str}, {"value_serializer": "json"}, {"key_type": bytes}])
def test_stored_topics_come_raw(app: EventApp, options: dict[str, Any]) -> None:
    """A type or serializer for a stored topic is refused: Faust would drop whole batches."""
    with pytest.raises(ImproperlyConfigured, match=next(iter(options))):
        app.topic("stored", **options)


def test_stored_and_other_topics_do_not_mix(app: EventApp) -> None:
    """An agent cannot read batches of one topic and records of another."""
    with pytest.raises(ImproperlyConfigured, match=r"\['stored'\].*\['other'\]"):
        app.topic("stored", "other")


async def test_faust_commits_events_that_an_agent_failed_on(app: EventApp) -> None:
    """Faust commits an event whose agent raised, which is why its offsets are not used."""
    seen: list[bytes] = []
    again = asyncio.Event()

    @app.agent(app.topic("other"))
    async def fails_once(stream: faust.StreamT[bytes]) -> None:
        async for value in stream:
            seen.append(value)
            if value == b"2":
                raise RuntimeError("lost by Faust")
            if value == b"3":
                again.set()

    transport: Any = app.transport
    bus: InProcessBus = transport.bus
    await app.start()
    try:
        await bus.publish_many([ProducerRecord("other", b"key", value, 0, ()) for value in (b"1", b"2", b"3")])
        await again.wait()
        await bus.settled("eventbus", "other")
    finally:
        await app.stop()
    assert seen == [b"1", b"2", b"3"]
