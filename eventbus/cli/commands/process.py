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

from eventbus.cli.options import (
    Paths,
    bootstrap_option,
    catalog_option,
    chosen_catalog,
    chosen_database,
    database_options,
    load_settings,
    plain_option,
    topics_of,
)
from eventbus.cli.security import faust_credentials, security_options

if TYPE_CHECKING:
    from rich.console import Console

    from eventbus.catalog import Catalog
    from eventbus.kafka import KafkaSecurity
    from eventbus.processors.ingest.pipeline import ProcessorStatistics
    from eventbus.processors.postgres import Database
    from eventbus.processors.processor import Processor

REFRESH = 0.5
"""Seconds between two looks at the figures."""

LINE_EVERY = 10.0
"""Seconds between two plain lines."""

STOP_WITHIN = 2.5
"""Seconds, after which the program ends without goodbye; nothing is lost by that."""


@click.command()
@bootstrap_option
@database_options
@click.option(
    "--group",
    envvar="EVENTBUS_GROUP",
    default="eventbus",
    show_default=True,
    help="Workers of one group share the partitions [env EVENTBUS_GROUP].",
)
@click.option(
    "--topics",
    envvar="EVENTBUS_TOPICS",
    default="",
    metavar="NAME,…",
    help="Topics to read [default: those of the catalog's domains, and omninode.events; env EVENTBUS_TOPICS].",
)
@click.option(
    "--from",
    "auto_offset_reset",
    type=click.Choice(["earliest", "latest"]),
    default="earliest",
    show_default=True,
    help="Where partitions begin that the group has never read.",
)
@catalog_option
@click.option("--pipelines", type=click.IntRange(1, 64), default=1, show_default=True, help="Connections that write.")
@click.option(
    "--stall-timeout",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Exit with 1 after so long without progress while events wait, to be started afresh.",
)
@plain_option
@security_options
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
    """Store the events of a Kafka cluster in PostgreSQL, each exactly once, whatever fails.

    Run as many as you like: those of one group share the partitions, and when one dies, the others go on from where
    the database says it was.

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
    """Process until told to stop.

    Raises:
        EventBusError, ProcessorError: it cannot begin, or cannot go on.
    """
    from eventbus.cli.render.terminal import new_console
    from eventbus.cli.signals import stop_on_signals
    from eventbus.processors.processor import Processor

    stop = stop_on_signals()
    await _make_topics(brokers, security, catalog, topics)
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


async def _make_topics(brokers: str, security: KafkaSecurity, catalog: Catalog, topics: list[str]) -> None:
    """Workers may be the first to come: make the catalog's topics, if we may, with the partitions it wants."""
    from eventbus.errors import AccessDenied
    from eventbus.kafka import KafkaBus

    known = topics_of(catalog)
    wanted = {name: count for name, count in known.items() if not topics or name in topics}
    async with KafkaBus(brokers, security=security) as bus:
        with suppress(AccessDenied):
            await bus.create_topics(wanted)


async def _watch(processor: Processor, stop: asyncio.Event, console: Console, *, live: bool) -> None:
    """Show figures until told to stop, or until the processor ends by itself."""
    figures = _live_figures(processor, console) if live else _plain_figures(processor, console)
    tasks = [asyncio.ensure_future(part) for part in (processor.wait(), stop.wait(), figures)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    for task in done:
        await task


async def _live_figures(processor: Processor, console: Console) -> None:
    from rich.text import Text

    rate = Rate(time.monotonic())
    with console.status("joining the group …") as status:
        while True:
            done = processor.statistics()
            status.update(Text(figures(done, rate.of(done.read, time.monotonic()))))
            await asyncio.sleep(REFRESH)


async def _plain_figures(processor: Processor, console: Console) -> None:
    rate, before = Rate(time.monotonic()), -1
    while True:
        done = processor.statistics()
        if done.read != before:
            console.print(figures(done, rate.of(done.read, time.monotonic())), soft_wrap=True)
        before = done.read
        await asyncio.sleep(LINE_EVERY)


async def _end(processor: Processor, server: Database) -> None:
    try:
        async with asyncio.timeout(STOP_WITHIN):
            await processor.stop()
            await asyncio.to_thread(server.leave)
    except TimeoutError:
        click.echo(account(processor.statistics()))
        click.echo(f"did not end within {STOP_WITHIN} s: what was not stored is read again next time", err=True)
        os._exit(1)


class Rate:
    """Events a second between two looks."""

    def __init__(self, now: float) -> None:
        self._count, self._when = 0, now

    def of(self, count: int, now: float) -> float:
        """The rate since the last call; `now` in seconds."""
        rate = (count - self._count) / max(now - self._when, 1e-3)
        self._count, self._when = count, now
        return rate


def figures(done: ProcessorStatistics, rate: float) -> str:
    """One line for a look in passing."""
    from eventbus.cli.render.terminal import printable

    trouble = f" · {done.retries} retries, last: {printable(done.last_error or '')}" if done.retries else ""
    return (
        f"{done.read:,} events, {rate:,.0f}/s · lag {sum(done.lag.values()):,} · {len(done.lag)} partitions · "
        f"{done.duplicates:,} duplicates · {done.dead:,} dead letters{trouble}"
    )


def account(done: ProcessorStatistics) -> str:
    """One line for the end; the sum is right, always."""
    return f"{done.read:,} read = {done.new:,} new + {done.duplicates:,} duplicates + {done.dead:,} dead letters"
