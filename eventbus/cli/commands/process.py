"""`eventbus process`: the Faust worker, Kafka → PostgreSQL."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventbus.cli.command import Command, option, option_group
from eventbus.cli.options.common import (
    STORE,
    Paths,
    catalog_option,
    chosen_catalog,
    chosen_database,
    database_options,
    load_settings,
    partitions_by_topic,
    plain_option,
)
from eventbus.cli.options.kafka import CONNECTION, bootstrap_option, faust_credentials, security_options

if TYPE_CHECKING:
    from rich.console import Console

    from eventbus.catalog import Catalog
    from eventbus.kafka import KafkaSecurity
    from eventbus.processors.ingest.pipeline import ProcessorStatistics
    from eventbus.processors.postgres import Database
    from eventbus.processors.processor import Processor

REFRESH = 0.5
"""Seconds between two updates on a terminal."""

LINE_INTERVAL = 10.0
"""Seconds between two plain lines."""

STOP_TIMEOUT = 2.5
"""Seconds until the program ends without leaving its group; no event is lost by that."""


@click.command(cls=Command)
@option_group(
    "What to store",
    option(
        "--topics",
        envvar="EVENTBUS_TOPICS",
        default="",
        metavar="NAME,…",
        help="Topics to read.  [default: those of the catalog's domains, and omninode.events]",
    ),
    option(
        "--group",
        envvar="EVENTBUS_GROUP",
        default="eventbus",
        help="Consumer group: the workers of one group share the partitions.",
    ),
    option(
        "--from",
        "auto_offset_reset",
        type=click.Choice(["earliest", "latest"]),
        default="earliest",
        help="Where to begin in a partition that the group has never read.",
    ),
    catalog_option,
)
@option_group(CONNECTION, bootstrap_option)
@security_options
@option_group(
    STORE,
    *database_options,
    option("--pipelines", type=click.IntRange(1, 64), default=1, help="Database connections that write."),
)
@option_group(
    "Running",
    option(
        "--stall-timeout", type=click.FloatRange(min=1), default=60.0, metavar="SECONDS",
        help="End with exit code 1 after this long without progress while events wait, to be restarted.",
    ),
    plain_option,
)  # fmt: skip
def process(
    *,
    bootstrap_servers: str,
    database_url: str | None,
    data_dir: Path | None,
    topics: str,
    paths: Paths,
    plain: bool,
    security: KafkaSecurity,
    **options: Any,
) -> None:
    """Store the events of a Kafka cluster in PostgreSQL, each exactly once, even when workers or servers fail.

    Run as many workers as you like: those of one group share the partitions. When one dies, the others continue from
    the offsets in the database. Files of --catalog can also be in EVENTBUS_CATALOG, separated by commas.

    \b
    Examples:
      eventbus process --bootstrap-servers localhost:9092
      DATABASE_URL=postgresql://localhost/events eventbus process --group audit --from latest
    """
    from eventbus.settings import comma_separated

    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    catalog = chosen_catalog(paths or tuple(map(Path, comma_separated(load_settings().catalog))))
    server = chosen_database(database_url, data_dir)
    names = comma_separated(topics)
    asyncio.run(run(server, bootstrap_servers, security, catalog, names, plain=plain, options=options))


async def run(
    server: Database,
    brokers: str,
    security: KafkaSecurity,
    catalog: Catalog,
    topics: list[str],
    *,
    plain: bool,
    options: Mapping[str, Any],
) -> None:
    """Stores events until it is stopped.

    Raises:
        EventBusError, ProcessorError: the worker cannot start, or cannot continue.
    """
    from eventbus.cli.render.terminal import new_console
    from eventbus.cli.running import stop_on_signals
    from eventbus.processors.processor import Processor

    stop = stop_on_signals()
    await _create_topics(brokers, security, catalog, topics)
    await asyncio.to_thread(server.start)
    processor = Processor(
        server.dsn,
        catalog=catalog,
        bootstrap_servers=brokers,
        topics=topics or None,
        broker_credentials=faust_credentials(security),
        **options,
    )
    console = new_console()
    try:
        await processor.start()
        console.print(f"group {options['group']} · Kafka at {brokers} · PostgreSQL {server.address}", soft_wrap=True)
        await _watch(processor, stop, console, live=console.is_terminal and not plain)
    finally:
        await _end(processor, server)
        console.print(account(processor.statistics()), soft_wrap=True)


async def _create_topics(brokers: str, security: KafkaSecurity, catalog: Catalog, topics: list[str]) -> None:
    """Creates the topics of the catalog with its numbers of partitions, if the broker permits it."""
    from eventbus.errors import AccessDenied
    from eventbus.kafka import KafkaBus

    partitions = {name: count for name, count in partitions_by_topic(catalog).items() if not topics or name in topics}
    async with KafkaBus(brokers, security=security) as bus:
        with suppress(AccessDenied):
            await bus.create_topics(partitions)


async def _watch(processor: Processor, stop: asyncio.Event, console: Console, *, live: bool) -> None:
    """Shows figures until `stop` is set, or the processor ends by itself."""
    from eventbus.cli.running import until_first

    show = _live_figures if live else _plain_figures
    await until_first(processor.wait(), stop.wait(), show(processor, console))


async def _live_figures(processor: Processor, console: Console) -> None:
    from rich.text import Text

    rate = RateMeter(time.monotonic())
    with console.status("joining the group …") as status:
        while True:
            done = processor.statistics()
            status.update(Text(figures(done, rate.of(done.read, time.monotonic()))))
            await asyncio.sleep(REFRESH)


async def _plain_figures(processor: Processor, console: Console) -> None:
    rate, before = RateMeter(time.monotonic()), -1
    while True:
        done = processor.statistics()
        if done.read != before:
            console.print(figures(done, rate.of(done.read, time.monotonic())), soft_wrap=True)
        before = done.read
        await asyncio.sleep(LINE_INTERVAL)


async def _end(processor: Processor, server: Database) -> None:
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await processor.stop()
            await asyncio.to_thread(server.leave)
    except TimeoutError:
        click.echo(account(processor.statistics()))
        click.echo(
            f"did not end within {STOP_TIMEOUT} s: events that were not stored are read again next time", err=True
        )
        os._exit(1)


class RateMeter:
    """Events per second between two measurements.

    Args:
        now: seconds, as in all methods.
    """

    def __init__(self, now: float) -> None:
        self._count, self._time = 0, now

    def of(self, count: int, now: float) -> float:
        """The rate since the last call."""
        rate = (count - self._count) / max(now - self._time, 1e-3)
        self._count, self._time = count, now
        return rate


def figures(done: ProcessorStatistics, rate: float) -> str:
    """One line, while the worker runs."""
    from eventbus.cli.render.terminal import printable

    trouble = f" · {done.retries} retries, last: {printable(done.last_error or '')}" if done.retries else ""
    return (
        f"{done.read:,} events, {rate:,.0f}/s · lag {sum(done.lag.values()):,} · {len(done.lag)} partitions · "
        f"{done.duplicates:,} duplicates · {done.dead:,} dead letters{trouble}"
    )


def account(done: ProcessorStatistics) -> str:
    """One line, at the end."""
    return f"{done.read:,} read = {done.new:,} new + {done.duplicates:,} duplicates + {done.dead:,} dead letters"
