"""The Faust application: Faust schedules the agents, and PostgreSQL remembers what they have done.

`create_app` builds one to add agents to, and `app` is the one that the environment describes, for
`faust -A eventbus.processors.faust_app.app worker`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.exceptions import ImproperlyConfigured
from faust.tables.manager import TableManager
from faust.types import TP, TopicT
from faust.types.auth import CredentialsT
from mode import Service

from eventbus.bus import SINGLE_TOPIC, AutoOffsetReset
from eventbus.catalog import Catalog
from eventbus.inprocess import InProcessBus
from eventbus.processors.errors import Stalled
from eventbus.processors.faust_app.agents import add_storing_agent
from eventbus.processors.faust_app.bus_transport import BusTransport
from eventbus.processors.faust_app.kafka_transport import KafkaTransport, credentials
from eventbus.processors.faust_app.progress import Watchdog
from eventbus.processors.ingest.pipeline import Pipeline
from eventbus.processors.ingest.router import Ingest
from eventbus.processors.postgres.server import database
from eventbus.processors.store.definitions import Facts
from eventbus.processors.store.offsets import rewind
from eventbus.record import TopicPartition
from eventbus.settings import DEFAULT_BROKERS, Settings, comma_separated


class NoTables(TableManager):
    """Faust waits a second for tables to register; there are none, since nothing of value is kept in Faust."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class NoWeb(BootStrategy):
    """Faust's web server would show its internals to anyone; ours is elsewhere."""

    enable_web = False


SETTINGS: dict[str, Any] = {
    "store": "memory://",
    "table_standby_replicas": 0,  # no tables: Kafka's round robin then, instead of an assignor of Faust's own
    "topic_disable_leader": True,
    "topic_allow_declare": False,
    "stream_wait_empty": False,  # a rebalance waits for the database, which knows more than Faust's acks
    "stream_buffer_maxsize": 8,  # in chunks
    "broker_max_poll_records": 500,  # records a chunk: larger ones were slower, the loop has to breathe
    "broker_session_timeout": 10.0,  # how long the partitions of a killed worker stay idle
    "consumer_metadata_max_age_ms": 10_000,  # how soon a new topic is noticed
    "key_serializer": "raw",
    "value_serializer": "raw",
    "TableManager": NoTables,
}


BUS_COMMIT_INTERVAL = 0.02
"""Seconds: how soon the in-process bus knows what is stored, may forget it, and calls the group settled."""


class EventApp(faust.App):
    """A Faust application that stores the events of some topics exactly once.

    The topics of `progress` arrive in chunks, at every agent; all other topics are ordinary Faust.

    Args:
        id: the consumer group.
        stall_timeout: seconds without progress, while there is a lag, after which the worker ends.
        settings: of Faust, over `SETTINGS`.
    """

    BootStrategy = NoWeb
    progress: Ingest
    server: AbstractContextManager[Any] = nullcontext()
    """The PostgreSQL server, where it is ours to start."""

    def __init__(self, id: str, *, stall_timeout: float = 60.0, **settings: Any) -> None:
        super().__init__(id, **{**SETTINGS, **settings})
        self.idle_seconds = 0.0
        self._watchdog = Watchdog(stall_timeout)
        self.on_partitions_revoked.connect(self._finish_revoked)

    def topic(self, *topics: str, **options: Any) -> TopicT:
        """As Faust's; the topics that are stored come as chunks of raw bytes, so no other form can be asked for."""
        stored = self.progress.topics.intersection(topics)
        if stored:
            _check_stored(stored, topics, options)
            options["acks"] = False  # Faust keeps no account of them
        return super().topic(*topics, **options)

    def _create_directories(self) -> None:
        """None: nothing is kept in files, and the working directory need not be writable."""

    def lag(self) -> dict[TopicPartition, int]:
        """Records in the log that the database does not have, by assigned partition."""
        ends = {p: self.consumer.highwater(TP(*p)) for p in self.progress.committed()}
        return {p: max(0, (ends[p] or 0) - offset) for p, offset in self.progress.committed().items()}

    async def on_start(self) -> None:
        await super().on_start()
        self.exit_stack.enter_context(self.server)
        await self.progress.open()

    async def on_stop(self) -> None:
        await super().on_stop()
        await self.progress.stop()

    async def _finish_revoked(self, *_: Any, **__: Any) -> None:
        await self.progress.finish()

    @Service.task
    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while not self.should_stop:
            await self.sleep(1.0)
            try:
                await self._look(clock())
            except Exception as error:
                await self.crash(error)

    async def _look(self, now: float) -> None:
        """Raises what should end the worker."""
        if not self.progress.check():
            await self.consumer.perform_seek()
        lag = sum(self.lag().values())
        self.idle_seconds = self._watchdog.idle(sum(self.progress.committed().values()), lag, now)
        if self.idle_seconds > self._watchdog.timeout:
            raise Stalled(f"{lag} events wait, but none was stored for {self.idle_seconds:.0f} s")


def create_app(
    dsn: str,
    *,
    catalog: Catalog | None = None,
    bus: InProcessBus | None = None,
    bootstrap_servers: str | None = None,
    topics: Iterable[str] | None = None,
    group: str = "eventbus",
    pipelines: int = 1,
    auto_offset_reset: AutoOffsetReset = "earliest",
    stall_timeout: float = 60.0,
    **options: Any,
) -> EventApp:
    """An application with the agent that stores events; see `Processor` for the arguments."""
    if (bus is None) == (bootstrap_servers is None):
        raise TypeError("expected either a bus or bootstrap_servers")
    catalog = catalog or Catalog.default()

    def owner() -> str:
        """Whose offsets they are: those of an in-process bus mean nothing to another one, or after its reset."""
        return group if bus is None else f"{group}@{bus.id}"

    facts = Facts.of(catalog)
    broker = "bus://" if bus is not None else [f"kafka://{server}" for server in (bootstrap_servers or "").split(",")]
    interval = {} if bus is None else {"broker_commit_interval": BUS_COMMIT_INTERVAL}
    app = EventApp(group, broker=broker, stall_timeout=stall_timeout, **interval, **options)
    app.progress = Ingest(
        topics or {SINGLE_TOPIC, *(event.domain for event in catalog.events.values())},
        [Pipeline(dsn, facts, group=owner) for _ in range(pipelines)],
        lambda offsets: rewind(dsn, owner(), offsets),
        auto_offset_reset=auto_offset_reset,
    )
    app.transport = BusTransport(bus, app) if bus is not None else KafkaTransport(app.conf.broker, app)
    add_storing_agent(app)
    return app


def app_from_environment() -> EventApp:
    """The application of `faust -A eventbus.processors.faust_app.app worker`; see `Settings` for its variables."""
    settings = Settings()
    server = database(settings.data_dir, database_url=settings.database_url)
    app = create_app(
        server.dsn,
        catalog=Catalog.load(*comma_separated(settings.catalog)),
        bootstrap_servers=settings.kafka_brokers or DEFAULT_BROKERS,
        topics=comma_separated(settings.topics) or None,
        group=settings.group,
        pipelines=settings.pipelines,
        auto_offset_reset=settings.start,
        broker_credentials=_credentials(settings),
    )
    app.server = server
    return app


def _credentials(settings: Settings) -> CredentialsT | None:
    uses_tls = settings.security_protocol.endswith("SSL")
    return credentials(
        settings.sasl_username,
        settings.sasl_password,
        mechanism=settings.sasl_mechanism,
        tls=ssl.create_default_context(cafile=settings.ssl_cafile) if uses_tls else None,
    )


def __getattr__(name: str) -> EventApp:
    """`app` is made when it is asked for: importing this module needs no environment."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    app = globals()["app"] = app_from_environment()
    return app


def _check_stored(stored: Iterable[str], topics: Iterable[str], options: dict[str, Any]) -> None:
    plain = sorted(set(topics).difference(stored))
    if plain:
        raise ImproperlyConfigured(
            f"topics {sorted(stored)} are stored and come in chunks, {plain} do not: expected one kind for an agent"
        )
    typed = [name for name in ("key_type", "value_type", "schema") if options.get(name) is not None]
    typed += [n for n in ("key_serializer", "value_serializer") if options.get(n) not in (None, "raw")]
    if typed:
        raise ImproperlyConfigured(
            f"topics {sorted(stored)} are stored and come in chunks of raw bytes: expected no {', '.join(typed)}; "
            "unpack them with processors.faust_app.agents.events(stream)"
        )
